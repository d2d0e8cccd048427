// A run that has ended, as those who follow the function's log with its invocations see it.
#pragma once

#include "invoke/ended_run.h"
#include "logs/record.h"

namespace sterna::server {

// "GET /a?b=1 200 in 3.1 ms, cold start 48.0 ms" as the text, and the same as JSON.
logs::Record run_record(const std::string& function, const invoke::EndedRun& run, WallTime now);

}  // namespace sterna::server
