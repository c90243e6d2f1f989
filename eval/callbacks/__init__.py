"""Callbacks that evaluate during training."""

from eval.callbacks.periodic import PeriodicEvaluation
from eval.callbacks.personalization import PersonalizationCallback
from eval.callbacks.pictures import PictureGrid
from eval.callbacks.purification import PurificationCallback
from eval.callbacks.rag import RAGCallback
from eval.callbacks.retrieval import RetrievalCallback

__all__ = [
    "PeriodicEvaluation",
    "PersonalizationCallback",
    "PictureGrid",
    "PurificationCallback",
    "RAGCallback",
    "RetrievalCallback",
]
