"""Networks from outside: what they have to be, what they become, and what is said of all others."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch

from srcnn_mlflow.machine.errors import ModelError, TrainingError
from srcnn_mlflow.network import upscaler as upscaler_module
from srcnn_mlflow.network.foreign import Origin, origin_of, short_name
from srcnn_mlflow.network.onnx_export import read_layers, read_network
from srcnn_mlflow.network.plain_weights import Weights
from srcnn_mlflow.network.upscaler import Upscaler
from srcnn_mlflow.pictures.datasets import load_dataset
from srcnn_mlflow.pictures.imaging import to_eight_bit, upscale
from srcnn_mlflow.pictures.store import Store, open_store
from srcnn_mlflow.pictures.store_file import StoreSettings
from srcnn_mlflow.pictures.store_writer import prepare
from srcnn_mlflow.training import foreign_loading
from srcnn_mlflow.training.distributed import World, alone
from srcnn_mlflow.training.fit import EpochResult, Progress, fit
from srcnn_mlflow.training.foreign_check import examine
from srcnn_mlflow.training.foreign_loading import examined, loaded, reload
from srcnn_mlflow.training.foreign_network import ForeignNetwork, check_seams
from srcnn_mlflow.training.learner import Learner
from srcnn_mlflow.training.plan import Plan
from srcnn_mlflow.training.planned_fit import is_bicubic, plan_fit
from srcnn_mlflow.training.sampler import PatchSampler
from srcnn_mlflow.training.settings import TrainingSettings
from tests.conftest import textured_pixels
from tests.foreign_networks import (
    DROPPING,
    HEAD,
    NORMALIZED,
    PLAIN,
    VALID,
    example,
    network,
    write_network,
)

CPU = torch.device("cpu")
GOOD = {"example": example(), "valid": VALID, "normalized": NORMALIZED, "dropping": DROPPING}

every_good = pytest.mark.parametrize("text", GOOD.values(), ids=GOOD)


@pytest.fixture(autouse=True)
def looked_at_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let networks be tried in this process, which has imported torch already."""
    monkeypatch.setattr(foreign_loading, "_LOADED", {})
    monkeypatch.setattr(foreign_loading, "examined", examine)


def found(text: str, folder: Path, residual: bool = True) -> ForeignNetwork:
    return loaded(origin(text, folder), residual)


def origin(text: str, folder: Path, name: str = "") -> Origin:
    one = origin_of(write_network(folder, text) + name)
    assert one is not None
    return one


def weights_of(one: ForeignNetwork, seed: int = 3) -> Weights:
    torch.manual_seed(seed)
    return {name: value.numpy() for name, value in one.build().plain_weights().items()}


def test_what_a_network_is_is_found_out(tmp_path: Path) -> None:
    one = found(example(), tmp_path)
    assert (one.name, one.halo, one.crop, one.last_layer) == ("net.py", 8, 0, "reconstruct")
    assert one.weights == 16 * 82 + 2 * 16 * 145 + 401
    assert one.shapes["module.extract.weight"] == (16, 1, 9, 9)
    assert (one.source["file"], len(one.source["digest"])) == ("net.py", 32)
    assert found(VALID, tmp_path / "valid").crop == 4
    assert found(NORMALIZED, tmp_path / "normalized").keeps_statistics
    assert not one.keeps_statistics


REFUSED: dict[str, tuple[str, str]] = {
    "does not parse": ("class Net(\n", "cannot be imported: line 1: '\\(' was never closed"),
    "raises": (HEAD + "1 / 0\n", "cannot be imported: ZeroDivisionError: division by zero"),
    "imports what is not there": ("import nowhere", "ModuleNotFoundError: No module named"),
    "exits": (HEAD + "sys.exit(3)\n", "cannot be imported: SystemExit: 3"),
    "offers nothing": (HEAD, "offers no networks: a class, or a function"),
    "offers two": (PLAIN + "class Other(Net): pass\n", "offers 2 networks; .*NAME.*Net, Other"),
    "no module": (
        "def net(): return 5\nnet.halo, net.channels = 4, 1\n",
        "gives int when it is called, where a torch module belongs",
    ),
    "raises when called": (PLAIN.replace("super()", "1 / 0; super()"), "has failed: ZeroDivision"),
    "wants arguments": (PLAIN.replace("(self):", "(self, n):"), "has failed: TypeError"),
    "halo no number": (network("return x", halo="4"), "says halo '4', where a whole number"),
    "halo below zero": (network("return x", halo=-1), "says halo -1, which is not from 0 to"),
    "colour": (network("return x", channels=3), "takes 3 channels, and is trained on 1"),
    "no weights": (
        HEAD
        + "class Net(nn.Module):\n    halo, channels = 0, 1\n    def forward(s, x): return x\n",
        "has no weights that could be trained",
    ),
    "double precision": (
        PLAIN + "Net = lambda C=Net: C().double()\nNet.halo = 4\nNet.channels = 1\n",
        "weights that are not float32",
    ),
    "the same module": (
        PLAIN + "_one = Net()\nNet = lambda: _one\nNet.halo = 4\nNet.channels = 1\n",
        "gives the same module twice",
    ),
    "twice as many pixels": (
        network("return functional.interpolate(self.b(self.a(x)), scale_factor=2.0)"),
        r"gives \(2, 1, 64, 64\) for luma of \(2, 1, 32, 32\); it has to give as many",
    ),
    "sixteen planes": (network("return self.a(x)"), r"gives \(2, 8, 32, 32\) for luma"),
    "less than the halo": (VALID.replace("halo, channels = 4", "halo, channels = 5"), "fewer"),
    "two tensors": (network("return self.b(self.a(x)), x"), "gives tuple, where a float32 tensor"),
    "other numbers": (network("return self.b(self.a(x)).double()"), "gives torch.float64, where"),
    "no number": (network("return self.b(self.a(x)) / 0 * 0"), "values that are no finite numbers"),
    "wrong halo": (PLAIN.replace("halo, channels = 4", "halo, channels = 3"), "looks 4 pixels"),
    "wrong halo that begins as zero": (
        network("return self.b(self.a(x))", "nn.init.zeros_(self.b.weight)", halo=3),
        "looks 4 pixels away",
    ),
    "takes from the whole plane": (
        network("y = self.a(x); return self.b(y - y.mean((2, 3), keepdim=True))"),
        "pictures would have seams",
    ),
    "a weight without a use": (
        network("return self.b(self.a(x))", "self.c = nn.Conv2d(1, 1, 1)"),
        "never uses its weight c.weight; take it out",
    ),
    "even sizes only": (
        network(
            "y = functional.pixel_unshuffle(x, 2); y = functional.pixel_shuffle(y, 2); "
            "return self.b(self.a(y))"
        ),
        "given 20x17 pixels, has failed|given 28x25 pixels, has failed",
    ),
    "no small pictures": (
        PLAIN.replace("padding=2", 'padding=2, padding_mode="reflect"'),
        "given 2x2 pixels, has failed: RuntimeError",
    ),
    "no number for black": (
        network("return self.b(self.a(x)) + 0 * x.log()"),
        "values that are no finite numbers",
    ),
    "views of what lies otherwise in memory": (
        network("y = self.a(x); return self.b(y.view(-1).view(y.shape))"),
        r"has failed: RuntimeError: view size .* Use .reshape",
    ),
    "what cannot be exported": (
        network("return self.b(self.a(x)) + torch.fft.fft(self.a(x)).real.mean() * 0"),
        "cannot be written as ONNX|seams",
    ),
    "sizes that Python looks at": (
        network("return self.b(self.a(x)) * (1 + 1 / x.shape[2] if x.shape[3] != 31 else 1)"),
        "computes something else as ONNX than in torch",
    ),
    "values that Python looks at": (
        network("return self.b(self.a(x)) + (0.1 if x.shape[0] == 2 else 0)"),
        "computes something else as ONNX than in torch: luma that differs by 0.1 of its range",
    ),
}


@pytest.mark.parametrize(("text", "reason"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_network_is_refused_in_one_line(text: str, reason: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=reason) as refused:
        examine(origin(text, tmp_path))
    assert len(str(refused.value).splitlines()) == 1


def test_one_of_several_is_taken_by_its_name(tmp_path: Path) -> None:
    text = PLAIN + "class Other(Net): pass\n"
    assert loaded(origin(text, tmp_path, ":Other"), True).name == "net.py:Other"
    with pytest.raises(ModelError, match="has nothing of the name Third; it offers Net, Other"):
        examine(origin(text, tmp_path, ":Third"))


def test_a_package_offers_a_network_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_network(tmp_path / "site", PLAIN, "offered_nets.py")
    about = tmp_path / "site" / "offered_nets-1.2.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: offered-nets\nVersion: 1.2\n")
    (about / "entry_points.txt").write_text("[srcnn_mlflow.networks]\ntiny = offered_nets:Net\n")
    assert origin_of("tiny") is None
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    one = origin_of("tiny")
    assert one is not None
    network = loaded(one, True)
    assert (network.name, network.halo) == ("tiny", 4)
    assert network.source["package"] == "offered-nets 1.2"
    assert TrainingSettings(architecture="tiny").padding == "own"


def test_the_code_of_a_model_that_was_loaded_is_not_in_the_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # `mlflow.pyfunc.load_model` leaves the folder of the model's code there.
    logged = tmp_path / "model" / "code"
    (logged / "srcnn_mlflow" / "network").mkdir(parents=True)
    for package in (logged / "srcnn_mlflow", logged / "srcnn_mlflow" / "network"):
        (package / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(logged))
    monkeypatch.chdir(tmp_path)
    assert examine(origin(PLAIN, tmp_path))["halo"] == 4


def test_names_of_chains_stay_those_of_chains() -> None:
    assert [origin_of(name) for name in ("9-5-5", "vdsr", "9-5-5:128-64", "nothing")] == [None] * 4
    assert short_name("9-5-5") == "9-5-5"
    assert short_name("/far/away/net.py:Net") == "net.py:Net"


def test_what_a_network_decides_itself_is_logged_as_its_own() -> None:
    settings = TrainingSettings(architecture="/far/net.py", padding="zero")
    assert (settings.padding, settings.initialization, settings.precondition) == ("own", "own", 0)
    assert replace(settings) == settings
    assert TrainingSettings(padding="zero").padding == "zero"


@every_good
@pytest.mark.parametrize("residual", [True, False])
def test_what_is_shipped_computes_what_torch_computes(
    text: str, residual: bool, tmp_path: Path
) -> None:
    one = found(text, tmp_path, residual)
    weights = weights_of(one)
    session = onnxruntime.InferenceSession(one.export(weights, 2))
    model = one.build().eval()
    model.load_plain_weights({name: torch.from_numpy(w) for name, w in weights.items()})
    for shape in ((1, 1, 2, 2), (2, 1, 37, 45), (1, 1, 3, 90)):
        luma = np.random.default_rng(0).random(shape, np.float32)
        (shipped,) = session.run(None, {"luma": luma})
        edges = [(0, 0), (0, 0), (one.crop, one.crop), (one.crop, one.crop)]
        with torch.no_grad():
            expected = model(torch.from_numpy(np.pad(luma, edges, mode="edge"))).numpy()
        assert shipped.shape == luma.shape
        assert np.abs(shipped - expected).max() < 1e-5


@every_good
def test_what_is_shipped_holds_the_weights_by_their_names(text: str, tmp_path: Path) -> None:
    one = found(text, tmp_path)
    weights = weights_of(one)
    (tmp_path / "network.onnx").write_bytes(one.export(weights, 2))
    written = read_network(tmp_path / "network.onnx")
    for name, shape in one.shapes.items():
        assert written.weights[name].shape == shape
        assert np.array_equal(written.weights[name], weights[name]), name
    assert written.about["halo"] == str(one.halo)
    assert read_layers(tmp_path / "network.onnx") == ("net.py", one.weights)


@every_good
def test_tiles_have_no_seam(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = found(text, tmp_path)
    upscaler = Upscaler(one.export(weights_of(one), 2))
    plane = textured_pixels(70, 90, seed=2)[..., 0].astype(np.float32)
    whole = upscaler.sharpen(plane)
    monkeypatch.setattr(upscaler_module, "TILE", 16)
    assert np.abs(upscaler.sharpen(plane) - whole).max() < 1e-3


@every_good
def test_without_a_correction_it_is_bicubic_to_the_pixel(text: str, tmp_path: Path) -> None:
    one = found(text, tmp_path)
    idle = one.without_correction(weights_of(one))
    assert one.corrects_nothing(idle)
    assert not one.corrects_nothing(weights_of(one))
    small = textured_pixels(30, 41, seed=5)[..., 0]
    enlarged = Upscaler(one.export(idle, 3)).upscale_luma(small)
    assert np.array_equal(enlarged, to_eight_bit(upscale(small, 3)))


def test_what_has_become_of_the_halo_in_training_is_looked_at(tmp_path: Path) -> None:
    """A network may look far only once it has learnt to."""
    one = found(network("return self.b(self.a(x)) + self.far(x)", FAR, halo=4), tmp_path)
    weights = dict(weights_of(one))
    one.export(weights, 2)
    weights["module.gate"] = np.ones(1, np.float32)
    with pytest.raises(ModelError, match=r"says halo 4, but a tile .* pictures would have seams"):
        one.export(weights, 2)


FAR = """self.register_buffer("gate", torch.zeros(1))

    def far(self, x):
        return self.gate * functional.avg_pool2d(x, 13, 1, 6)"""


def test_a_seam_is_seen_at_any_wrong_halo() -> None:
    def blur(luma: Any) -> Any:
        return torch.nn.functional.avg_pool2d(torch.from_numpy(luma), 9, 1, 4).numpy()

    for halo in (4, 5, 17):
        check_seams(blur, "blur", halo)
    for halo in range(4):
        with pytest.raises(ModelError, match=f"network blur says halo {halo}, but"):
            check_seams(blur, "blur", halo)


@pytest.fixture
def store(photo_folder: Path) -> Store:
    settings = StoreSettings(2, 33, 14)
    return open_store(*prepare(load_dataset(str(photo_folder)), settings, photo_folder).files)


def settings_of(text: str, folder: Path, **others: Any) -> TrainingSettings:
    architecture = write_network(folder, text)
    return TrainingSettings(architecture=architecture, batch_size=4, epochs=2, **others)


def train(
    store: Store, settings: TrainingSettings, epochs: int, resume: Progress | None = None
) -> list[EpochResult]:
    plan = Plan(epochs=3, steps=4)
    results = fit(PatchSampler(store, CPU), settings, plan, lambda _: 30.0, resume)
    return [result for result, _ in zip(results, range(epochs), strict=False)]


@every_good
@pytest.mark.parametrize("optimizer", ["muon", "adam"])
def test_a_fit_that_is_resumed_goes_on_as_if_it_had_not_stopped(
    text: str, optimizer: str, store: Store, tmp_path: Path
) -> None:
    settings = settings_of(text, tmp_path, optimizer=optimizer, ema_decay=0.9, gradient_clip=1.0)
    whole = train(store, settings, 3)
    half = train(store, settings, 1)[0]
    torch.manual_seed(99)
    rest = train(store, settings, 2, Progress(1, 30.0, 1, half.state))
    assert rest[-1].epoch == 3
    for name, array in whole[-1].weights.items():
        assert np.array_equal(array, rest[-1].weights[name]), name


@every_good
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_fit_learns(text: str, precision: str, store: Store, tmp_path: Path) -> None:
    settings = settings_of(text, tmp_path, precision=precision)
    planned = plan_fit(store, settings, alone(CPU))
    assert is_bicubic(planned.best, settings)
    assert planned.progress.best_val_psnr == planned.validate(planned.best)
    first, second = planned.epochs()
    assert second.train_loss < first.train_loss
    for name, array in planned.best.items():
        if name.endswith("weight"):
            assert not np.array_equal(array, second.weights[name]), name


def test_muon_takes_all_kernels_but_those_of_the_last_layer_to_compute(tmp_path: Path) -> None:
    """`b` is made last, and computes first."""
    text = network(
        "return self.a2(self.b2(x))",
        "self.a2 = nn.Conv2d(8, 1, 5, padding=2); "
        "self.b2 = nn.Conv2d(1, 8, 5, padding=2); del self.a, self.b",
    )
    model = found(text, tmp_path).build()
    names = {id(one): name for name, one in model.module.named_parameters()}
    assert [names[id(one)] for one in model.kernels()] == ["b2.weight"]
    assert [names[id(one)] for one in model.last_layer()] == ["a2.weight", "a2.bias"]


def test_statistics_are_not_kept_by_several_processes(store: Store, tmp_path: Path) -> None:
    settings = settings_of(NORMALIZED, tmp_path)
    with pytest.raises(TrainingError, match=r"batch normalization.* train it in one process"):
        Learner(settings, PatchSampler(store, CPU), World(0, 2, CPU))


def test_a_network_that_fails_in_training_is_told_in_one_line(store: Store, tmp_path: Path) -> None:
    text = network("assert x.shape[0] != 4, 'not four'; return self.b(self.a(x))")
    with pytest.raises(ModelError, match=r"net.py has failed: AssertionError: not four"):
        train(store, settings_of(text, tmp_path), 1)


def test_a_file_that_changes_while_it_is_trained_changes_nothing(tmp_path: Path) -> None:
    before = origin(PLAIN, tmp_path)
    digest = loaded(before, True).source["digest"]
    after = origin(VALID, tmp_path)
    assert loaded(after, True).source["digest"] == digest
    assert reload(after).source["digest"] != digest
    assert loaded(after, True).crop == 4


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("while True: pass", "took longer than 0.5 seconds to be imported and tried"),
        ("import os; os._exit(0)", r"has ended the process .* \(exit code 0"),
        ("import os; os.kill(os.getpid(), 11)", r"has ended the process .* \(exit code -11"),
        ("print('noise'); 1 / 0", "cannot be imported: ZeroDivisionError"),
    ],
    ids=["hangs", "ends", "crashes", "talks"],
)
def test_a_file_that_hangs_or_crashes_does_so_in_a_process_of_its_own(
    text: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "while" in text:
        monkeypatch.setattr(foreign_loading, "TIME_LIMIT", 0.5)
    with pytest.raises(ModelError, match=reason):
        examined(origin(text, tmp_path))


@pytest.mark.slow
def test_another_process_finds_what_this_one_finds(tmp_path: Path) -> None:
    one = origin("print('noise')\n" + example(), tmp_path)
    here = examine(one)
    there = examined(one)
    assert {**there, "shapes": {n: tuple(s) for n, s in there["shapes"].items()}} == here


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    for name, what in (("no such.py", "does not exist"), (".py", "is a folder")):
        (tmp_path / ".py").mkdir(exist_ok=True)
        one = origin_of(str(tmp_path / name))
        assert one is not None
        with pytest.raises(ModelError, match=f"the network's file .*{what}"):
            examined(one)
