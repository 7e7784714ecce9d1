"""What is kept of experiments, in MLflow and in Optuna: the only wing that imports MLflow.

Runs and what they are told, what waits for a server that is away, versions in the registry, the
model that is served, a model in a process of its own, and studies. How a number is computed, or
how a page looks, is not known here.
"""

import logging
import os

# What MLflow tells of its own housekeeping would drown what the commands say.
for _name in ("alembic", "mlflow.pyfunc", "mlflow.models", "mlflow.system_metrics"):
    logging.getLogger(_name).setLevel(logging.WARNING)
# An error of the database is raised too, and then told in one line instead of a traceback.
logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
