#include "cli/report.h"

#include <utility>

namespace sterna::cli {

using api::Json;

Result<int> report(const Target& target, const Result<Json>& answer, const TextOf& text) {
  if (!answer) return std::unexpected(answer.error());
  if (target.json) {
    print_json(*answer);
  } else {
    print(text(*answer));
  }
  return kExitOk;
}

Result<int> report_list(const Target& target, const Result<Json>& items, Row headings, const RowOf& row) {
  if (!items) return std::unexpected(items.error());
  return report(target, Json{{"data", *items}}, [&](const Json& answer) {
    std::vector<Row> rows = {std::move(headings)};
    for (const Json& item : answer.at("data")) rows.push_back(row(item));
    return format_table(rows);
  });
}

Result<int> report_list(const Target& target, const Result<Json>& items, const std::vector<Column>& columns) {
  Row headings;
  for (const Column& column : columns) headings.push_back(column.heading);
  return report_list(target, items, std::move(headings), [&](const Json& item) {
    Row row;
    for (const Column& column : columns) row.push_back(cell(item, column.field));
    return row;
  });
}

Result<int> report_deleted(const Target& target, const Result<Json>& done, std::string_view name,
                           std::string_view text) {
  if (!done) return std::unexpected(done.error());
  if (target.json) {
    print_json({{"deleted", name}});
  } else {
    print(text);
  }
  return kExitOk;
}

}  // namespace sterna::cli
