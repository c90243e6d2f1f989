"""Retrieval-augmented image generation over a collection: judge, retriever, generator."""

from eval.attacks.rag.flow import FlowConfig, RagFlow, query_prompt
from eval.attacks.rag.generators import Generator, ImageToImageGenerator, ServiceGenerator
from eval.attacks.rag.judges import Judge, ReadingJudge, ServiceJudge
from eval.attacks.rag.omnigen import OmniGenGenerator
from eval.attacks.rag.retriever import Retriever
from eval.attacks.rag.sdxl import SdxlGenerator

__all__ = [
    "FlowConfig",
    "Generator",
    "ImageToImageGenerator",
    "Judge",
    "OmniGenGenerator",
    "RagFlow",
    "ReadingJudge",
    "Retriever",
    "SdxlGenerator",
    "ServiceGenerator",
    "ServiceJudge",
    "query_prompt",
]
