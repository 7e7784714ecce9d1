"""The card of a version, from what is known of it."""

from srcnn_mlflow.measuring.model_card import CardFacts, Contest, RunPage, SetScore, model_card

SCORE = SetScore("set5", "ee67db7e" * 4, 5, 28.42, 30.21, 0.8103, 0.8557, (0.61, 2.98))


def test_a_card_says_what_is_known_and_no_more() -> None:
    tags = {"architecture": "9-1-5", "dataset": "t91", "verdict": "promoted: better than bicubic"}
    given = {"optimizer": "muon", "lr": "0.001", "device": "cpu"}
    card = model_card(CardFacts("srcnn-x4", 3, 4, tags, given, (SCORE,), "the table"))
    assert card.startswith("srcnn-x4 version 3: SRCNN ")
    assert "| 28.42 / 0.8103 | 30.21 / 0.8557 | +1.79 | +0.61 to +2.98 |" in " ".join(
        card.split()
    ).replace("| ee67db7e | 5 ", "")
    assert "promoted: better than bicubic\n\nthe table" in card
    assert "- Recipe: optimizer=muon, lr=0.001\n" in card
    assert "--scale 4 --model 3 --input" in card
    assert "Commit" not in card
    assert "cpu" not in card


def test_a_card_shows_a_picture_and_names_all_that_the_version_took_part_in() -> None:
    page = RunPage("7", "a" * 32)
    contests = (
        Contest("2026-02-01", "comparison", "set5", "srcnn-x4/2, srcnn-x4/3", "", page),
        Contest("2026-01-31", "promotion", "a|b", "srcnn-x4/3", "promoted: better", page),
    )
    card = model_card(CardFacts("srcnn-x4", 3, 4, {}, {}, (SCORE,), "", contests, page))
    source = f"get-artifact?path=evaluation%2Fbest.png&run_uuid={page.run_id}"
    assert f"]({source})](#/experiments/7/runs/{page.run_id}/artifacts/evaluation/best.png)" in card
    run = f"(#/experiments/7/runs/{page.run_id})"
    assert card.endswith(
        f"- 2026-02-01, [comparison]{run} of srcnn-x4/2, srcnn-x4/3 on set5\n"
        f"- 2026-01-31, [promotion]{run} of srcnn-x4/3 on a\\|b: promoted: better\n"
    )


def test_a_version_that_is_new_has_what_it_was_registered_with() -> None:
    tags = {"psnr": "33.4321", "psnr_gain": "0.9050", "ssim": "0.91", "measured_on": "t91 valid"}
    card = model_card(CardFacts("srcnn-x2", 1, 2, tags, {}, (), ""))
    assert "On t91 valid: 33.4321 dB, +0.91 over bicubic, SSIM 0.91." in card
    assert "Nothing yet." in card


def test_of_what_was_not_measured_it_says_so() -> None:
    card = model_card(CardFacts("srcnn-x2", 1, 2, {}, {}, (), ""))
    assert "Nothing was measured yet." in card
    assert "Recipe" not in card


def test_of_epochs_and_minutes_a_card_names_the_one_that_decided() -> None:
    def recipe(max_minutes: str) -> str:
        given = {"optimizer": "muon", "epochs": "8", "max_minutes": max_minutes}
        card = model_card(CardFacts("srcnn-x2", 1, 2, {}, given, (), ""))
        return card.partition("- Recipe: ")[2].partition("\n")[0]

    assert recipe("0.4") == "max_minutes=0.4, optimizer=muon"
    assert recipe("None") == "epochs=8, optimizer=muon"
