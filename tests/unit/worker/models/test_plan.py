from hypothesis import given
from hypothesis import strategies as st

from axon.models.desired import DesiredModel
from worker.models.plan import Action, Load, Unload, layered, plan

NAMES = st.sampled_from("abcd")
VERSIONS = st.integers(0, 5)
OWN = DesiredModel("own", {}, 0)


@st.composite
def _wanted(draw: st.DrawFn) -> dict[str, DesiredModel]:
    versions = draw(st.dictionaries(NAMES, VERSIONS))
    return {name: DesiredModel(name, {}, version) for name, version in versions.items()}


def done(held: dict[str, int], action: Action) -> dict[str, int]:
    match action:
        case Unload(name):
            assert name in held
            return {other: version for other, version in held.items() if other != name}
        case Load(model):
            return held | {model.name: model.version}


@given(held=st.dictionaries(NAMES, VERSIONS), wanted=_wanted())
def test_what_is_planned_leads_to_what_is_wanted(
    held: dict[str, int], wanted: dict[str, DesiredModel]
) -> None:
    actions = plan(held, wanted)
    for action in actions:
        held = done(held, action)
    assert held == {name: model.version for name, model in wanted.items()}
    assert plan(held, wanted) == []
    assert len(actions) == len(set(map(str, actions)))


@given(
    held=st.dictionaries(NAMES, VERSIONS),
    wanted=_wanted(),
    resting=st.dictionaries(NAMES, VERSIONS),
)
def test_only_what_failed_in_this_version_rests(
    held: dict[str, int], wanted: dict[str, DesiredModel], resting: dict[str, int]
) -> None:
    kept = plan(held, wanted, resting=resting)
    left_out = [action for action in plan(held, wanted) if action not in kept]
    assert all(
        isinstance(action, Load) and resting[action.model.name] == action.model.version
        for action in left_out
    )


def test_room_is_made_first_then_models_come_as_they_were_said() -> None:
    wanted = {name: DesiredModel(name, {}, version) for name, version in (("b", 3), ("c", 2))}
    assert plan({"z": 1, "a": 1}, wanted) == [
        Unload("a"), Unload("z"), Load(wanted["c"]), Load(wanted["b"]),
    ]  # fmt: skip


class TestLayered:
    def test_the_deployments_own_model_needs_no_word(self) -> None:
        other = DesiredModel("a", {}, 1)
        assert layered(OWN, []) == {"own": OWN}
        assert layered(OWN, [other]) == {"own": OWN, "a": other}

    def test_what_was_said_of_it_goes_before(self) -> None:
        said = DesiredModel("own", {"engine": "echo"}, 4)
        assert layered(OWN, [said]) == {"own": said}
        assert layered(OWN, [DesiredModel("own", None, 5)]) == {}

    def test_what_is_unloaded_is_not_wanted(self) -> None:
        assert layered(OWN, [DesiredModel("a", None, 2)]) == {"own": OWN}
