// Code in JSON: {"code": "<base64>"} or {"files": {"path": "<base64>"}}.
#pragma once

#include <string>
#include <string_view>

#include "api/json.h"
#include "api/validation.h"
#include "bundle/files.h"

namespace sterna::bundle {

// The file that a template's handler is in.
std::string_view handler_file(std::string_view template_name);

// Reads the object; `field` is its name in error messages ("source", or "" when it is the whole body).
// `template_name` says what file `code` is.
api::Validated<Files> parse_source(const api::Json& json, std::string_view field,
                                   std::string_view template_name);

// {"code"} when the handler is all there is, else {"files"}. The executable bits are not in it.
api::OrderedJson source_json(const Files& files, std::string_view template_name);

// Fails with invalid, reason `handler_missing`, and says what was found instead.
Status check_handler(const Files& files, std::string_view template_name);

}  // namespace sterna::bundle
