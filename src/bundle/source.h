// Code in JSON: {"code": "<base64>"} or {"files": {"path": "<base64>"}}.
#pragma once

#include <expected>
#include <filesystem>
#include <string>
#include <string_view>

#include "api/function_spec.h"
#include "api/json.h"
#include "api/problem.h"
#include "bundle/files.h"

namespace sterna::bundle {

// Reads the object; `field` is its name in error messages ("source", or "" when it is the whole body). The
// template says what file `code` is. JSON has no executable bits: what begins with "#!" or as an ELF program
// gets them. Fails with all that is wrong with the fields, or with `bundle_too_large` beyond `max_bytes`.
// Without a spec, because that is wrong itself, only what it does not decide is checked.
std::expected<Files, api::Problem> parse_source(const api::Json& json, std::string_view field,
                                                const api::FunctionSpec* spec, std::size_t max_bytes);

// {"code"} when the handler is all there is, else {"files"}. The executable bits are not in it.
api::OrderedJson source_json(const Files& files, const api::FunctionSpec& spec);

// Fails with invalid, reason `handler_missing`, and says what was found instead. A function with a command of
// its own needs no handler.
Status check_handler(const Files& files, const api::FunctionSpec& spec);

// The first of the template's handler files that is in the folder; "" when none is there.
std::string handler_in(const std::filesystem::path& folder, const api::FunctionSpec& spec);

}  // namespace sterna::bundle
