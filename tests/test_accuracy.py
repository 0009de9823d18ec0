import pytest

from _00_main import make_settings, run


@pytest.mark.slow
def test_default_run_reaches_its_floor_on_mnist(tmp_path):
    """Some four minutes on two cores. The floor is below what any seed has given so far."""
    result = run(make_settings(output_dir=tmp_path))
    assert result.test_accuracy >= 0.994
    assert result.n_misclassified <= 60
