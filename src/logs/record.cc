#include "logs/record.h"

#include <array>
#include <nlohmann/json.hpp>

namespace sterna::logs {
namespace {

constexpr std::array kStreams{Stream::kStdout, Stream::kStderr, Stream::kPlatform};

void append_quoted(std::string& out, std::string_view text) {
  out += nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

// The members that users see, without the closing brace.
std::string open_object(const Record& record) {
  std::string out;
  out.reserve(160 + record.text.size());
  out += R"({"name":)";
  append_quoted(out, record.name);
  out += R"(,"instance":)";
  append_quoted(out, record.instance);
  out += R"(,"timestamp":")";
  out += format_rfc3339(record.timestamp);
  out += R"(","text":)";
  append_quoted(out, record.text);
  out += R"(,"stream":")";
  out += to_string(record.stream);
  out += R"(","call_id":)";
  append_quoted(out, record.call_id);
  return out;
}

std::optional<std::string> take_text(const nlohmann::json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end() || !found->is_string()) return std::nullopt;
  return found->get<std::string>();
}

std::optional<Stream> parse_stream(std::string_view text) {
  for (const Stream stream : kStreams) {
    if (text == to_string(stream)) return stream;
  }
  return std::nullopt;
}

}  // namespace

std::string_view to_string(Stream stream) {
  switch (stream) {
    case Stream::kStdout:
      return "stdout";
    case Stream::kStderr:
      return "stderr";
    case Stream::kPlatform:
      return "platform";
    case Stream::kInvocation:
      return "invocation";
  }
  return "platform";
}

void cut_text(std::string& text) {
  if (text.size() <= kMaxTextBytes) return;
  std::size_t keep = kMaxTextBytes;
  // A character of UTF-8 has at most three continuation bytes; more than that is not text and may be cut
  // anywhere.
  for (int step = 0; step < 3 && (static_cast<unsigned char>(text[keep]) & 0xC0U) == 0x80U; ++step) --keep;
  const std::size_t gone = text.size() - keep;
  text.resize(keep);
  text += " [cut: " + std::to_string(gone) + " more bytes]";
}

std::string to_ndjson(const Record& record) {
  std::string out = open_object(record);
  if (!record.invocation.empty()) out.append(R"(,"invocation":)").append(record.invocation);
  return out.append("}\n");
}

std::string to_stored_line(const Record& record) {
  return open_object(record) + R"(,"seq":)" + std::to_string(record.sequence) + "}\n";
}

std::optional<Record> parse_stored_line(std::string_view line) {
  const nlohmann::json object = nlohmann::json::parse(line, nullptr, false);
  if (!object.is_object()) return std::nullopt;
  auto name = take_text(object, "name");
  auto instance = take_text(object, "instance");
  auto text = take_text(object, "text");
  auto call_id = take_text(object, "call_id");
  const auto timestamp = parse_rfc3339(take_text(object, "timestamp").value_or(""));
  const auto stream = parse_stream(take_text(object, "stream").value_or(""));
  const auto sequence = object.find("seq");
  if (!name || !instance || !text || !call_id || !timestamp || !stream || sequence == object.end() ||
      !sequence->is_number_unsigned()) {
    return std::nullopt;
  }
  return Record{std::move(*name),    std::move(*instance),          *timestamp, std::move(*text), *stream,
                std::move(*call_id), sequence->get<std::uint64_t>()};
}

}  // namespace sterna::logs
