// The failures that lease_queue.h, outbox.h and invocations.h name: the same words whichever queue it is.
#pragma once

#include <string_view>

#include "base/error.h"

namespace sterna::queue {

// What a caller is told when the disk or the spool fails; errors of the queue's own pass.
Error unavailable(const Error& cause);

std::unexpected<Error> backlog_full(std::string_view of);  // "function" or "space"
std::unexpected<Error> call_id_in_use();
std::unexpected<Error> idempotency_key_reused();
std::unexpected<Error> answer_not_kept();
std::unexpected<Error> function_gone();
std::unexpected<Error> stale_receipt();
std::unexpected<Error> invocation_not_found();
std::unexpected<Error> ended_meanwhile();  // not_found, for who has taken it
std::unexpected<Error> already_ended();
std::unexpected<Error> not_failed();
std::unexpected<Error> not_ended();
std::unexpected<Error> no_callback();
std::unexpected<Error> no_answer();
std::unexpected<Error> bad_cursor();

}  // namespace sterna::queue
