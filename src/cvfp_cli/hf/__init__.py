"""CVFP models in the Transformers library: to import this makes its Auto classes know them.

A folder that ``cvfp`` wrote then loads by ``AutoModelForCausalLM.from_pretrained(FOLDER)``. Without this package the
same folder loads with ``trust_remote_code=True``, by the copy of ``modeling_cvfp.py`` in it; ``save_pretrained`` and
``push_to_hub`` put that copy there.
"""

from transformers import AutoConfig, AutoModelForCausalLM

from cvfp_cli.hf.modeling_cvfp import CVFPConfig, CVFPForCausalLM, CVFPState

AutoConfig.register(CVFPConfig.model_type, CVFPConfig, exist_ok=True)
AutoModelForCausalLM.register(CVFPConfig, CVFPForCausalLM, exist_ok=True)
CVFPConfig.register_for_auto_class()
CVFPForCausalLM.register_for_auto_class("AutoModelForCausalLM")

__all__ = ["CVFPConfig", "CVFPForCausalLM", "CVFPState"]
