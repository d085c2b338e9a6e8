"""CVFP models in the Transformers library: to import this makes its Auto classes know them.

A folder that ``cvfp`` wrote then loads by ``AutoModelForCausalLM.from_pretrained(FOLDER)``. Without this package the
same folder loads with ``trust_remote_code=True``, by the copy of ``modeling_cvfp.py`` in it; ``save_pretrained`` and
``push_to_hub`` put that copy there.
"""

from transformers import AutoConfig, AutoModelForCausalLM

from cvfp_cli.hf.modeling_cvfp import (
    CVFPConfig,
    CVFPDecoderConfig,
    CVFPDecoderForCausalLM,
    CVFPForCausalLM,
    CVFPState,
)

for config, model in ((CVFPConfig, CVFPForCausalLM), (CVFPDecoderConfig, CVFPDecoderForCausalLM)):
    AutoConfig.register(config.model_type, config, exist_ok=True)
    AutoModelForCausalLM.register(config, model, exist_ok=True)
    config.register_for_auto_class()
    model.register_for_auto_class("AutoModelForCausalLM")

__all__ = ["CVFPConfig", "CVFPDecoderConfig", "CVFPDecoderForCausalLM", "CVFPForCausalLM", "CVFPState"]
