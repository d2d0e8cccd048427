#include "cli/text.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "base/number.h"
#include "base/printable.h"
#include "cli/api_client.h"

namespace sterna::cli {
namespace {

using api::Json;

const Json* find_path(const Json& object, std::string_view path) {
  const Json* at = &object;
  while (true) {
    const auto dot = path.find('.');
    if (!at->is_object()) return nullptr;
    const auto found = at->find(std::string(path.substr(0, dot)));
    if (found == at->end()) return nullptr;
    at = &*found;
    if (dot == std::string_view::npos) return at;
    path.remove_prefix(dot + 1);
  }
}

std::chrono::seconds unit_of(char unit) {
  switch (unit) {
    case 's':
      return std::chrono::seconds(1);
    case 'm':
      return std::chrono::minutes(1);
    case 'h':
      return std::chrono::hours(1);
    case 'd':
      return std::chrono::days(1);
    default:
      return std::chrono::seconds(0);
  }
}

// Of its longest line.
std::size_t width_of(std::string_view text) {
  std::size_t width = 0;
  while (true) {
    const std::size_t end = text.find('\n');
    width = std::max(width, std::min(end, text.size()));
    if (end == std::string_view::npos) return width;
    text.remove_prefix(end + 1);
  }
}

// Further lines of `text` begin at `column`.
void append_indented(std::string& out, std::string_view text, std::size_t column) {
  for (const char c : text) {
    out += c;
    if (c == '\n') out.append(column, ' ');
  }
}

bool is_list_of_objects(const Json& value) {
  return value.is_array() && !value.empty() && std::ranges::all_of(value, &Json::is_object);
}

// The items' fields as columns, those of the first item first.
std::string table_of(const Json& items) {
  Row fields;
  for (const auto& item : items) {
    for (const auto& [field, value] : item.items()) {
      if (std::ranges::find(fields, field) == fields.end()) fields.push_back(field);
    }
  }
  std::vector<Row> rows = {fields};
  for (const auto& item : items) {
    Row& row = rows.emplace_back();
    for (const auto& field : fields) row.push_back(cell(item, field));
  }
  return format_table(rows);
}

// Puts plain fields first, then those of inner objects as "outer.inner"; lists of objects go to `tables`.
void collect_fields(const Json& object, const std::string& prefix, std::vector<Row>& rows,
                    std::string& tables) {
  for (const auto& [field, value] : object.items()) {
    if (!value.is_object() && !is_list_of_objects(value))
      rows.push_back({prefix + field, cell(object, field)});
  }
  for (const auto& [field, value] : object.items()) {
    if (value.is_object()) collect_fields(value, prefix + field + ".", rows, tables);
    if (is_list_of_objects(value)) tables += fmt::format("\n{}{}\n{}", prefix, field, table_of(value));
  }
}

}  // namespace

std::string format_table(std::vector<Row> rows) {
  for (Row& row : rows) {
    for (std::string& each : row) each = printable(each);
  }
  std::vector<std::size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], width_of(row[i]));
  }
  std::string out;
  for (const auto& row : rows) {
    std::size_t column = 0;
    for (std::size_t i = 0; i < row.size(); ++i) {
      const bool is_last = i + 1 == row.size();
      append_indented(out, row[i], column);
      const std::size_t last_line = row[i].size() - (row[i].rfind('\n') + 1);
      if (!is_last) out.append(widths[i] - last_line + 2, ' ');
      column += widths[i] + 2;
    }
    out += '\n';
  }
  return out;
}

std::string cell(const Json& object, std::string_view path) {
  const Json* value = find_path(object, path);
  if (value == nullptr || value->is_null()) return "-";
  if (!value->is_string()) return api::dump(*value);
  const auto& text = value->get_ref<const std::string&>();
  return text.empty() ? "-" : text;
}

std::string text_of(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

std::string format_object(const Json& object) {
  std::vector<Row> rows;
  std::string tables;
  collect_fields(object, "", rows, tables);
  return format_table(rows) + tables;
}

std::string format_log_line(std::string_view ndjson_line) {
  const auto record = api::parse_json(ndjson_line);
  if (!record || !record->is_object()) return printable(ndjson_line);
  return printable(
      fmt::format("{} {} {}", cell(*record, "timestamp"), cell(*record, "stream"), text_of(*record, "text")));
}

Result<std::string> parse_since(std::string_view text, WallTime now) {
  constexpr std::int64_t kMaxCount = 1'000'000;
  const auto unit = text.empty() ? std::chrono::seconds(0) : unit_of(text.back());
  const auto count =
      text.empty() ? std::nullopt : parse_number<std::int64_t>(text.substr(0, text.size() - 1));
  if (unit.count() != 0 && count && *count >= 0 && *count <= kMaxCount)
    return format_rfc3339(now - *count * unit);
  if (parse_rfc3339(text)) return std::string(text);
  return bad_usage(
      fmt::format("--since {}: write 90s, 10m, 2h, 1d, or a time like 2026-01-02T03:04:05Z", text));
}

std::string describe_size(std::size_t files, std::size_t bytes) {
  constexpr double kKib = 1024;
  const auto size = static_cast<double>(bytes);
  const std::string shown = size < kKib          ? fmt::format("{} bytes", bytes)
                            : size < kKib * kKib ? fmt::format("{:.1f} KiB", size / kKib)
                                                 : fmt::format("{:.1f} MiB", size / kKib / kKib);
  return fmt::format("{} {}, {}", files, files == 1 ? "file" : "files", shown);
}

void print(std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
}

void print_json(const Json& value) {
  constexpr int kIndent = 2;
  print(value.dump(kIndent, ' ', false, Json::error_handler_t::replace) + '\n');
}

void print_to_stderr(std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stderr);
}

Progress::Progress(bool quiet) : active_(!quiet && isatty(STDERR_FILENO) == 1) {}

void Progress::show(std::string_view text) {
  if (!active_) return;
  print_to_stderr("\r\x1b[K" + printable(text));
  std::fflush(stderr);
  shown_ = true;
}

void Progress::clear() {
  if (!shown_) return;
  print_to_stderr("\r\x1b[K");
  std::fflush(stderr);
  shown_ = false;
}

}  // namespace sterna::cli
