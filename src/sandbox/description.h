// A function's sandbox on this machine, for people: what it sees, what it may use, and what keeps it in.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "sandbox/plan.h"
#include "sandbox/probe.h"

namespace sterna::sandbox {

// {"sandbox": "on" or "off", "mounts": [...], "limits": {...}, "network": {...}, "enforced": {...},
// "missing": [...]}. No path of the host is in it.
nlohmann::ordered_json describe(const SandboxPlan& plan, const Probe& machine);

}  // namespace sterna::sandbox
