from hypothesis import given
from hypothesis import strategies as st

from axon.models.desired import DesiredModel
from worker.models.plan import Action, Load, Unload, desired_by_name, plan

NAMES = st.sampled_from("abcd")
VERSIONS = st.integers(0, 5)
OWN = DesiredModel("own", {}, 0)


@st.composite
def _desired(draw: st.DrawFn) -> dict[str, DesiredModel]:
    versions = draw(st.dictionaries(NAMES, VERSIONS))
    return {name: DesiredModel(name, {}, version) for name, version in versions.items()}


def after(observed: dict[str, int], action: Action) -> dict[str, int]:
    match action:
        case Unload(name):
            assert name in observed
            return {other: version for other, version in observed.items() if other != name}
        case Load(model):
            return observed | {model.name: model.version}


@given(observed=st.dictionaries(NAMES, VERSIONS), desired=_desired())
def test_plan_turns_the_observed_models_into_the_desired_ones(
    observed: dict[str, int], desired: dict[str, DesiredModel]
) -> None:
    actions = plan(observed, desired)
    for action in actions:
        observed = after(observed, action)
    assert observed == {name: model.version for name, model in desired.items()}
    assert plan(observed, desired) == []
    assert len(actions) == len(set(map(str, actions)))


@given(
    observed=st.dictionaries(NAMES, VERSIONS),
    desired=_desired(),
    backing_off=st.dictionaries(NAMES, VERSIONS),
)
def test_plan_leaves_out_only_versions_that_back_off(
    observed: dict[str, int], desired: dict[str, DesiredModel], backing_off: dict[str, int]
) -> None:
    kept = plan(observed, desired, backing_off=backing_off)
    left_out = [action for action in plan(observed, desired) if action not in kept]
    assert all(
        isinstance(action, Load) and backing_off[action.model.name] == action.model.version
        for action in left_out
    )


def test_plan_unloads_first_then_loads_by_version() -> None:
    desired = {name: DesiredModel(name, {}, version) for name, version in (("b", 3), ("c", 2))}
    assert plan({"z": 1, "a": 1}, desired) == [
        Unload("a"), Unload("z"), Load(desired["c"]), Load(desired["b"]),
    ]  # fmt: skip


class TestDesiredByName:
    def test_desired_by_name_contains_the_deployments_model(self) -> None:
        other = DesiredModel("a", {}, 1)
        assert desired_by_name(OWN, []) == {"own": OWN}
        assert desired_by_name(OWN, [other]) == {"own": OWN, "a": other}

    def test_desired_by_name_lets_the_operator_override_the_deployments_model(self) -> None:
        model = DesiredModel("own", {"engine": "echo"}, 4)
        assert desired_by_name(OWN, [model]) == {"own": model}
        assert desired_by_name(OWN, [DesiredModel("own", None, 5)]) == {}

    def test_desired_by_name_leaves_out_unloaded_models(self) -> None:
        assert desired_by_name(OWN, [DesiredModel("a", None, 2)]) == {"own": OWN}
