import pytest

from guerdon.claims import Result, find, slugs
from guerdon.core import registry

METHODS = {method.slug for method in registry.methods()}


@pytest.mark.parametrize("slug", slugs())
def test_a_claim_belongs_to_a_method_and_cites_it(slug):
    import importlib

    claim = find(slug)
    module = importlib.import_module(f"guerdon.claims.{slug.replace('-', '_')}")
    assert claim.slug == slug
    assert slug in METHODS
    assert "arXiv" in (module.__doc__ or "")
    assert claim.says.endswith(".")


@pytest.mark.parametrize("slug", slugs())
def test_the_published_numbers_are_those_of_the_code(slug, results, one_thread):
    """One trial again, with the setting that tuning chose: the code still gives what the documentation shows."""
    path = results / f"{slug}.json"
    assert path.is_file(), f"guerdon claims run {slug} --out docs/claims"
    published, claim = Result.read(path), find(slug)
    assert published.says == claim.says
    assert [outcome.expect for outcome in published.outcomes] == list(claim.expect)
    arm = claim.arms[0]
    run = claim.experiment(arm, published.arms[arm].setting, claim.first_seed)
    expected = {name: values[0] for name, values in published.arms[arm].metrics.items()}
    assert dict(run.metrics) == pytest.approx(expected, rel=1e-6)


def test_an_unknown_claim_is_named_with_the_closest():
    with pytest.raises(registry.UnknownName, match="did you mean 'otc-po'"):
        find("otc")


@pytest.fixture
def one_thread():
    """As trials run: sums of several threads differ in their last digits, and a training carries them far."""
    torch = pytest.importorskip("torch")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def results(request):
    return request.config.rootpath / "docs" / "claims"
