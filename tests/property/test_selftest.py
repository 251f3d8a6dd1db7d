"""The properties can fail: each bug of bugs.py, in place of a core without it, is found by the property
that is about it."""

import pytest

pytest.importorskip("hypothesis", reason="no Hypothesis: tools/venv installs it")

import bugs  # noqa: E402
import test_properties as other  # noqa: E402
import test_seed_properties as seed  # noqa: E402
import world  # noqa: E402
from core import Broken  # noqa: E402

FOUND_BY = [
    (bugs.SlowUnload, seed.test_property_01_mode_transition_triggers_vlm_unload),
    (bugs.ModeForgotten, seed.test_property_02_mode_transition_triggers_vlm_load),
    (bugs.Unmovable, seed.test_property_03_clip_on_gpu_in_autopilot),
    (bugs.HalfBytes, seed.test_property_04_vram_decrease_on_vlm_unload),
    (bugs.ModeForgotten, seed.test_property_05_status_query_completeness),
    (bugs.NoYielding, seed.test_property_06_clip_migration_ordering),
    (bugs.GrantLost, seed.test_property_07_embedding_pipeline_consistency),
    (bugs.DefaultTtl, seed.test_property_08_idle_timeout_behaviour),
    (bugs.GrantLost, seed.test_property_09_on_demand_vlm_loading),
    (bugs.DoneAtOnce, seed.test_property_10_ensure_vlm_loaded_blocking),
    (bugs.DoneAtOnce, seed.test_property_11_ensure_vlm_unloaded_blocking),
    (bugs.PlacementsSwapped, seed.test_property_12_get_clip_device_validity),
    (bugs.AnswerLost, seed.test_property_13_sequential_operation_processing),
    (bugs.PinsForgotten, other.test_everybody_is_served_once_faults_stop),
    (bugs.HalfBytes, other.test_everybody_is_served_once_faults_stop),
    (bugs.RefusalLost, other.test_everybody_is_served_once_faults_stop),
    (bugs.Twice, other.test_everybody_is_served_once_faults_stop),
    (bugs.OneMoreSlot, other.test_everybody_is_served_once_faults_stop),
    (bugs.ModeForgotten, other.test_wishes_are_reached_once_faults_stop),
    (bugs.GateForgetsClasses, other.test_gates_keep_their_order),
    (bugs.PartOfALease, other.test_a_lease_gets_all_or_nothing),
    (bugs.PinsForgotten, other.test_a_plan_is_what_happens),
    (bugs.HalfBytes, other.test_what_can_never_fit_is_refused_at_once),
    (bugs.RefusalLost, other.test_patience_is_kept),
]


@pytest.mark.parametrize("bug, test", FOUND_BY, ids=lambda it: it.__name__.removeprefix("test_"))
def test_finds(bug, test, monkeypatch):
    monkeypatch.setattr(world, "BUG", bug)
    with pytest.raises(Broken):
        test.again()()
