"""What becomes of memory that is freed."""

from tests.machine.in_its_own_process import measure, only_linux

KEPT = """
del (large := [bytearray(20_000_000)])[0]
before = psutil.Process().memory_info().rss
parts = [bytearray(b"x" * 4_000_000) for _ in range(5)]
last = bytearray(b"x" * 300_000)
del parts
print(psutil.Process().memory_info().rss - before)
"""
FETCHED = """
def step():
    return [bytearray(5_000_000) for _ in range(5)]
for _ in range(5):
    step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    step()
print((resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) * resource.getpagesize() / 20)
"""


@only_linux
def test_large_buffers_go_back_to_the_system() -> None:
    # Without it, what lies below the last small buffer stays with the process.
    assert measure(KEPT, "") > 15_000_000
    assert measure(KEPT, "return_large_buffers()") < 3_000_000


@only_linux
def test_large_buffers_stay_for_the_next_step() -> None:
    # Without it, each of the five buffers is fetched from the system again, page by page.
    assert measure(FETCHED, "") > 5_000_000
    assert measure(FETCHED, "keep_large_buffers()") < 500_000
