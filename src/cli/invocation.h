// Invocations as the commands see them: where they are, how one waits for their end, and what it came to.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "cli/api_client.h"
#include "cli/text.h"

namespace sterna::cli {

// "/spaces/{space}/functions/{name}/invocations/{id}". Fails with bad_usage when a name or the id cannot be
// one.
Result<std::string> invocation_path(const Target& target, std::string_view name, std::string_view id);

// Of an invocation's JSON.
bool has_ended(const api::Json& invocation);
// Its state, and the reason when that says more: "failed (function_raised)".
std::string standing_of(const api::Json& invocation);
// How many attempts were made.
std::size_t attempts_of(const api::Json& invocation);
// How the callback's delivery stands; "-" when it is not told.
std::string delivery_of(const api::Json& invocation);
// The exit status that an ended invocation stands for.
int exit_code_of_end(const api::Json& invocation);

// Polls until the invocation at `path` has ended, or `limit` is over: then answers it as it is. Bears a
// server that is away for a few seconds, because the invocation outlives that too. Fails as Api::get does.
Result<api::Json> wait_for_end(Api& api, const std::string& path, std::optional<std::chrono::seconds> limit,
                               Progress& progress);

// Prints the answer of the ended invocation at `path` as a synchronous call would, or why there is none.
// Answers the exit status.
Result<int> tell_end(Api& api, const Target& target, std::string_view function, const std::string& path,
                     const api::Json& invocation);

// Prints the function's answer that the invocation at `path` has kept, and answers its exit status. Fails
// when the server has none.
Result<int> print_response(Api& api, const Target& target, std::string_view function, const std::string& path,
                           bool show_head);

}  // namespace sterna::cli
