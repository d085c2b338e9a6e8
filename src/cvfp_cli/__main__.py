"""``python -m cvfp_cli`` is the same program as ``cvfp``."""

from cvfp_cli.cli.app import main

if __name__ == "__main__":
    main()
