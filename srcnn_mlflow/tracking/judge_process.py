"""The process in which a model is judged: run as a script, one JSON line in, one out.

It must not import this package, so that the model brings the code it was logged with.
"""

import json
import os
import sys

import mlflow.pyfunc
import pandas as pd


def main() -> None:
    """Answer every line of standard input with the model's own prediction."""
    # Whatever the model prints goes to standard error; answers alone go to the pipe.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    model = mlflow.pyfunc.load_model(sys.argv[1])
    for line in sys.stdin:
        (prediction,) = model.predict(pd.DataFrame([json.loads(line)]))
        print(json.dumps({"image": prediction["image"]}), file=answers, flush=True)


if __name__ == "__main__":
    main()
