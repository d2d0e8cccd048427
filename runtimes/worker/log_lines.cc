#include "worker/log_lines.h"

#include <algorithm>
#include <cstring>

#include "wire/frame.h"

namespace sterna::worker {
namespace {

constexpr std::string_view kReplacement = "\xef\xbf\xbd";

bool is_continuation(char byte) {
  return (static_cast<unsigned char>(byte) & 0xC0U) == 0x80U;
}

// How many bytes the valid sequence at the start of `text` has; 0 when there is none.
std::size_t sequence_bytes(std::string_view text) {
  const auto first = static_cast<unsigned char>(text[0]);
  if (first < 0x80) return 1;
  if (first < 0xC2 || first > 0xF4) return 0;
  const std::size_t bytes = first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
  if (text.size() < bytes) return 0;
  if (!std::ranges::all_of(text.substr(1, bytes - 1), is_continuation)) return 0;
  const auto second = static_cast<unsigned char>(text[1]);
  const bool overlong = (first == 0xE0 && second < 0xA0) || (first == 0xF0 && second < 0x90);
  const bool surrogate = first == 0xED && second > 0x9F;
  const bool too_high = first == 0xF4 && second > 0x8F;
  return overlong || surrogate || too_high ? 0 : bytes;
}

bool is_ascii(std::string_view text) {
  return std::ranges::none_of(text, [](char byte) { return static_cast<unsigned char>(byte) >= 0x80U; });
}

void append_log_frame(std::string& out, std::uint64_t call, wire::Stream stream, std::string_view lines) {
  const std::size_t offset = wire::open_frame(out, wire::FrameType::kLog, wire::More::kNo, 0, call);
  if (is_ascii(lines)) {
    wire::append_log(out, {stream, lines});
  } else {
    wire::append_log(out, {stream, to_valid_utf8(lines)});
  }
  wire::close_frame(out, offset);
}

// Where to cut a line that is too long: not inside a character.
std::size_t cut_of_long_line(std::string_view line) {
  std::size_t cut = kMaxLineBytes;
  while (cut > kMaxLineBytes - 3 && is_continuation(line[cut])) --cut;
  return cut;
}

// Collects lines into frames that are as large as allowed.
class FrameFiller {
 public:
  FrameFiller(std::string& out, std::uint64_t call, wire::Stream stream)
      : out_(out), call_(call), stream_(stream) {}

  void add_line(std::string_view line) {
    while (line.size() > kMaxLineBytes) {
      const std::size_t cut = cut_of_long_line(line);
      add_short_line(line.substr(0, cut));
      line.remove_prefix(cut);
    }
    add_short_line(line);
  }

  void finish() {
    if (!lines_.empty()) append_log_frame(out_, call_, stream_, lines_);
    lines_.clear();
  }

 private:
  void add_short_line(std::string_view line) {
    if (lines_.size() + line.size() + 1 > kMaxLogFrame) finish();
    lines_.append(line).push_back('\n');
  }

  std::string& out_;
  std::uint64_t call_;
  wire::Stream stream_;
  std::string lines_;
};

}  // namespace

void LogLines::add(std::string& out, std::uint64_t call, wire::Stream stream, std::string_view text) {
  const std::size_t last_end = text.rfind('\n');
  const std::string_view whole = last_end == std::string_view::npos ? "" : text.substr(0, last_end + 1);
  const std::string_view rest = text.substr(whole.size());

  const auto kept = unfinished_.find({call, stream});
  std::string joined;
  std::string_view lines = whole;
  if (kept != unfinished_.end() && !whole.empty()) {
    joined = std::move(kept->second).append(whole);
    unfinished_.erase(kept);
    lines = joined;
  }
  FrameFiller filler(out, call, stream);
  while (!lines.empty()) {
    const std::size_t end = lines.find('\n');
    filler.add_line(lines.substr(0, end));
    lines.remove_prefix(end + 1);
  }
  if (!rest.empty()) {
    std::string& line = unfinished_[{call, stream}];
    line.append(rest);
    std::string_view left = line;
    while (left.size() > kMaxLineBytes) {
      const std::size_t cut = cut_of_long_line(left);
      filler.add_line(left.substr(0, cut));
      left.remove_prefix(cut);
    }
    line.erase(0, line.size() - left.size());
  }
  filler.finish();
  if (unfinished_.size() > kMaxUnfinishedLines) end_all(out);
}

void LogLines::end_call(std::string& out, std::uint64_t call) {
  if (unfinished_.empty()) return;
  for (const auto stream : {wire::Stream::kStdout, wire::Stream::kStderr}) {
    const auto kept = unfinished_.find({call, stream});
    if (kept == unfinished_.end()) continue;
    append_log_frame(out, call, stream, kept->second + '\n');
    unfinished_.erase(kept);
  }
}

void LogLines::end_all(std::string& out) {
  for (const auto& [key, line] : unfinished_) append_log_frame(out, key.first, key.second, line + '\n');
  unfinished_.clear();
}

std::string to_valid_utf8(std::string_view text) {
  std::string valid;
  valid.reserve(text.size());
  while (!text.empty()) {
    const std::size_t bytes = sequence_bytes(text);
    valid.append(bytes == 0 ? kReplacement : text.substr(0, bytes));
    text.remove_prefix(std::max<std::size_t>(bytes, 1));
  }
  return valid;
}

bool is_valid_utf8(std::string_view text) {
  while (!text.empty()) {
    std::uint64_t eight = 0;
    if (text.size() >= sizeof eight) {
      std::memcpy(&eight, text.data(), sizeof eight);
      if ((eight & 0x8080808080808080U) == 0) {
        text.remove_prefix(sizeof eight);
        continue;
      }
    }
    const std::size_t bytes = sequence_bytes(text);
    if (bytes == 0) return false;
    text.remove_prefix(bytes);
  }
  return true;
}

}  // namespace sterna::worker
