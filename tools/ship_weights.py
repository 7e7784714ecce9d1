"""Copy the best trainings of `records.py` into the package, with a model card.

    python tools/ship_weights.py

Of each scale and network the one with the highest validation PSNR ships; what has shipped so far
stays where no new training is better on the same validation pictures. One that changes a flat field
by a grey level has its last layer changed first (`flat_fields.py`), and is judged as it is then.
Only then are the named test sets looked at, as many as are at hand or can be fetched. Run it where
`records.py` was.
"""

import json
import shutil
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from flat_fields import flatten, levels_off
from mlflow import MlflowClient
from records import FOLDER as RECORDS

from srcnn_mlflow.machine.git import git_commit
from srcnn_mlflow.measuring.evaluation import describe_protocol, score_photos, summarize
from srcnn_mlflow.measuring.published import Average, published_methods
from srcnn_mlflow.measuring.tables import aligned_table
from srcnn_mlflow.network.architecture import SCALES
from srcnn_mlflow.network.shipped import FOLDER, SHIPPED_ARCHITECTURES, shipped_network
from srcnn_mlflow.network.upscaler import Upscaler
from srcnn_mlflow.pictures.datasets import load_dataset
from srcnn_mlflow.pictures.shrunk import SHRUNK
from srcnn_mlflow.tracking import registry

SETS = ("set5", "set14", "bsd100", "urban100")
CARD = FOLDER / "README.md"
# So many digits tell a commit.
COMMIT = 12
# Of a training's parameters, those that say where it was and not what it did.
ELSEWHERE = ("dataset", "device", "memory", "resume")

Json = dict[str, Any]


def main() -> None:
    """Write the networks, what is known of each, and the card."""
    found = [json.loads(path.read_text("utf-8")) for path in sorted(RECORDS.glob("*.json"))]
    trained: dict[tuple[str, int], list[Json]] = defaultdict(list)
    for record in found:
        trained[record["architecture"], record["scale"]].append(record)
    abouts = {
        (architecture, scale): _ship(architecture, scale, trained[architecture, scale])
        for architecture in SHIPPED_ARCHITECTURES
        for scale in SCALES
    }
    for name in SETS:
        unknown = {key: about for key, about in abouts.items() if name not in about}
        photos = load_dataset(name).photos("test") if unknown else ()
        for (architecture, scale), about in unknown.items():
            upscaler = Upscaler(shipped_network(scale, f"shipped-{architecture}"))
            scored = score_photos(photos, scale, scale, upscaler.upscale_luma)
            about[name] = asdict(summarize(score for _, score in scored))
            about["measured_at"] = git_commit()[:COMMIT]
    for (architecture, scale), about in abouts.items():
        path = shipped_network(scale, f"shipped-{architecture}").with_suffix(".json")
        path.write_text(f"{json.dumps(about, indent=2)}\n", encoding="utf-8")
    CARD.write_text(_card(abouts), encoding="utf-8")


def _ship(architecture: str, scale: int, records: Sequence[Json]) -> Json:
    """Copy the best of some trainings, unless what ships is better; tell what is known of it."""
    network = shipped_network(scale, f"shipped-{architecture}")
    former = _shipped(network.with_suffix(".json"))
    if not records:
        return former
    records = [_flattened(record) for record in records]
    best = max(records, key=lambda record: float(record["psnr"]))
    found = _registered(best)
    version = MlflowClient().get_model_version(registry.model_name(scale), str(found.version))
    assert version.run_id
    training = MlflowClient().get_run(version.run_id)
    about = {
        "data": best["dataset"],
        "data_digest": best["dataset_digest"],
        "git_commit": best["git_commit"],
        "run_id": version.run_id,
        "parameters": {
            key: value
            for key, value in sorted(training.data.params.items())
            if key not in ELSEWHERE
        },
        "validation": {
            "psnr": _seeds(records),
            "best_epoch": training.data.metrics["best_epoch"],
        },
        **({"flattened": best["flattened"]} if "flattened" in best else {}),
    }
    seeds = former["validation"]["psnr"] if _pictures(former) == _pictures(about) else {}
    better = float(best["psnr"]) > max(seeds.values(), default=0.0)
    shipped = about if better else former
    if _recipe(former) == _recipe(about):
        shipped["validation"]["psnr"] = {**seeds, **_seeds(records)}
    if better:
        shutil.copy(best.get("network", found.network), network)
    return shipped


def _registered(record: Json) -> registry.FoundModel:
    return registry.find_model(record["version"].rpartition("/")[2], record["scale"])


def _flattened(record: Json) -> Json:
    """A training whose network leaves flat fields as they are, and what it has then."""
    scale, trained = record["scale"], _registered(record).network
    off = levels_off(trained)
    if not off:
        return record
    data = load_dataset(record["dataset"])
    network = RECORDS / f"{record['version'].replace('/', '-')}.onnx"
    shutil.copy(trained, network)
    flatten(network, data.photos("train"), scale)
    upscale = Upscaler(network).upscale_luma
    scored = score_photos(data.photos("valid"), scale, scale, upscale)
    psnr = summarize(score for _, score in scored).srcnn_psnr
    left = levels_off(network)
    click.echo(
        f"{record['version']} changed flat fields by up to {off} levels, and does by {left}: "
        f"{float(record['psnr']):.4f} dB before, {psnr:.4f} now"
    )
    if left:
        raise click.ClickException(f"{record['version']} still changes flat fields")
    flattened = {"levels_off": off, "psnr": float(record["psnr"])}
    return {**record, "psnr": psnr, "network": str(network), "flattened": flattened}


def _seeds(records: Sequence[Json]) -> dict[str, float]:
    return {str(record["seed"]): float(record["psnr"]) for record in records}


def _shipped(file: Path) -> Json:
    """What is known of the network that has shipped so far, if any."""
    known: Json = json.loads(file.read_text("utf-8")) if file.is_file() else {}
    return known


def _pictures(about: Json) -> str:
    """The data set of a training without what is made of its pictures, which validate as well."""
    return str(about.get("data", "")).removesuffix(SHRUNK)


def _recipe(about: Json) -> Json:
    """The settings and data of a training, but for its seed."""
    settings = {key: value for key, value in about.get("parameters", {}).items() if key != "seed"}
    return {**settings, "data_digest": about.get("data_digest")}


def _card(abouts: Mapping[tuple[str, int], Json]) -> str:
    """The page beside the weights: what they are, what made them, what they reach and cannot."""
    rows = [
        {
            "weights": f"shipped-{architecture}",
            "scale": f"x{scale}",
            "validation": f"{max(about['validation']['psnr'].values()):.3f}",
            "seeds": str(len(about["validation"]["psnr"])),
            **{name: _cell(about[name]["srcnn_psnr"], about[name]["srcnn_ssim"]) for name in SETS},
        }
        for (architecture, scale), about in abouts.items()
    ]
    rows += [
        {
            "weights": f"{method.name}, published",
            "scale": f"x{scale}",
            "validation": "",
            "seeds": "",
            **{name: _stated(method.averages.get((name, scale))) for name in SETS},
        }
        for method in published_methods()
        if "SRCNN" in method.name
        for scale in SCALES
    ]
    return PAGE.format(
        usual=SHIPPED_ARCHITECTURES[0],
        table=aligned_table(rows, 2),
        protocol=describe_protocol(None),
        commits=_commits(abouts, "git_commit"),
        measured=_commits(abouts, "measured_at"),
    )


def _commits(abouts: Mapping[tuple[str, int], Json], what: str) -> str:
    return ", ".join(sorted({about[what][:COMMIT] for about in abouts.values()}))


def _cell(psnr: float, ssim: float | None) -> str:
    return f"{psnr:.2f}" if ssim is None else f"{psnr:.2f} / {ssim:.4f}"


def _stated(average: Average | None) -> str:
    return "" if average is None else _cell(average.psnr, average.ssim)


PAGE = """# The weights that ship with the package

Networks of three layers that enlarge photographs by 2, 3 or 4. `shipped` is `shipped-{usual}`;
the others have their own names, as in `--model shipped-9-1-5`. Each is an ONNX file of bicubic
luma in and sharp luma out, in 0..1, with a JSON file beside it that has its data, its settings
and its figures.

## Which to take

`shipped-9-5-5` is the better one on every set below, and the one that papers are compared
with; `shipped-9-1-5` has a seventh of its weights and takes about a fifth of its time. So
`shipped` is `shipped-{usual}`: who asks for nothing gets the best picture, and who is in a hurry
has a name for it.

## How they were made

- Data: T91 and BSD200 (`dataset=t91+bsd200`), of which 235 pictures train and 29 choose: the
  epoch, and the seed.
- Recipe: `python tools/records.py`, then `python tools/ship_weights.py`. Networks at x2 and x4
  begin with random weights; those at x3 with the weights of x2, and learn from smaller copies of
  the training pictures, too (`dataset=t91+bsd200@shrunk`). Commits of the trainings: {commits}.
- The JSON files have the settings that were really used: weights of an earlier recipe stay until
  `records.py` has made new ones of their network and scale.
- Flat fields keep their grey level to the last: where a training left one off near white, as
  `flattened` in its JSON file says, `tools/flat_fields.py` changed the last layer by what takes
  least from the training pictures.
- The test sets below chose nothing: each network was measured on them when it had been chosen, at
  commit {measured}.

## What they reach

PSNR in dB / SSIM; "validation" is PSNR on the 29 pictures, of the best of so many seeds.

{table}

{protocol}

One of Set5's five pictures, `woman`, is a smaller part of a training picture of BSD200 (302003),
of which smaller copies may train as well. The published networks were trained on ImageNet.

## What they cannot do

- They sharpen what Pillow's antialiased bicubic made small. Photographs with noise, with the
  blocks of strong JPEG compression, or made small by another filter come out with these faults
  sharpened too.
- They learnt from photographs. Text, line drawings and patterns of single pixels are guessed.
- Luma alone is sharpened; colour and transparency are enlarged by bicubic interpolation.
- They add no detail that is not there. A network that invents some looks sharper and has a lower
  PSNR.

They come under the licence of this package; the training pictures are not part of it.
"""


if __name__ == "__main__":
    main()
