// What a command says at its end: the server's answer with --json, else what people read.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "api/json.h"
#include "base/error.h"
#include "cli/api_client.h"
#include "cli/text.h"

namespace sterna::cli {

// Each answers the exit status 0; an error goes through.

using TextOf = std::function<std::string(const api::Json& answer)>;
Result<int> report(const Target& target, const Result<api::Json>& answer, const TextOf& text = format_object);

using RowOf = std::function<Row(const api::Json& item)>;
Result<int> report_list(const Target& target, const Result<api::Json>& items, Row headings, const RowOf& row);

// A column that shows a field as `cell` does.
struct Column {
  std::string heading;
  std::string field;
};
Result<int> report_list(const Target& target, const Result<api::Json>& items,
                        const std::vector<Column>& columns);

// For what is gone and leaves nothing to show: the text, or with --json {"deleted": name}.
Result<int> report_deleted(const Target& target, const Result<api::Json>& done, std::string_view name,
                           std::string_view text);

}  // namespace sterna::cli
