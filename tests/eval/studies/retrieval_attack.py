"""One call of the retrieval attack on the small collection."""

from eval.studies.rag import run_rag
from eval.studies.rag_database import Database


def attack(planted, collection, output, reads, generator, judge, **more):
    database = Database(collection, embedder=reads, accelerator="cpu")
    return run_rag(
        planted, output, database, generator, judge, **({"arms": ("protected", "control")} | more)
    )
