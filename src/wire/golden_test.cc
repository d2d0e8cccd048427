// The golden files fix the bytes for every runtime. After a deliberate change of PROTOCOL.md write them anew
// with STERNA_WRITE_GOLDEN=1 and read the difference.
#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>
#include <vector>

#include "wire/frame.h"
#include "wire/messages.h"

namespace sterna::wire {
namespace {

constexpr std::uint64_t kCall = 0x1122334455667788;
constexpr std::uint16_t kSlot = 513;

struct Golden {
  const char* name;
  FrameType type;
  More more;
  std::uint16_t slot;
  std::uint64_t call;
  std::string payload;
};

std::string header_block() {
  std::string block;
  append_header(block, "Accept", "text/plain");
  append_header(block, "Accept", "*/*");
  append_header(block, "X-Latin", "caf\xe9");
  return block;
}

std::string request(std::string_view body) {
  const std::string block = header_block();
  std::string out;
  append_request(out, {"POST", "/stock/caf\xc3\xa9", "company=Google&company=&q=%C3%A9", 3, block}, body);
  return out;
}

std::string response(std::uint64_t content_length, std::string_view body) {
  const std::string block = header_block();
  std::string out;
  append_response(out, {503, 1'234'567'890, content_length, 3, block}, body);
  return out;
}

std::string failed(FailKind kind, std::string_view text) {
  std::string out;
  append_failed(out, {kind, 42'000, text});
  return out;
}

std::string log_text(Stream stream, std::string_view text) {
  std::string out;
  append_log(out, {stream, text});
  return out;
}

std::string window(std::uint32_t bytes) {
  std::string out;
  append_window(out, bytes);
  return out;
}

std::vector<Golden> goldens() {
  const std::string init =
      R"({"space": "default", "function": "hello", "version": 3, "instance": "hello-1", )"
      R"("bundle": "/function", "template": "python3-http", "handler": "handler.py", "command": [], )"
      R"("network": "egress", "env": {"MIN": "2"}, "concurrency": 1, "async_concurrency": 64, )"
      R"("timeout_ms": 30000, "memory_mb": 128})";
  const std::string load_failed =
      R"({"summary": "handler.py, line 3: SyntaxError: invalid syntax", "detail": ""})";
  return {
      {"init", FrameType::kInit, More::kNo, 0, 0, init},
      {"request", FrameType::kRequest, More::kNo, kSlot, kCall, request(std::string_view("\0body\xff", 6))},
      {"request_more", FrameType::kRequest, More::kYes, kSlot, kCall, request("first ")},
      {"request_body", FrameType::kRequestBody, More::kNo, kSlot, kCall, "last"},
      {"cancel", FrameType::kCancel, More::kNo, kSlot, kCall, ""},
      {"window", FrameType::kWindow, More::kNo, kSlot, kCall, window(65'537)},
      {"request_window", FrameType::kRequestWindow, More::kNo, kSlot, kCall, window(32'768)},
      {"shutdown", FrameType::kShutdown, More::kNo, 0, 0, ""},
      {"ready", FrameType::kReady, More::kNo, 0, 0, R"({"runtime": "python 3.11.2", "async": false})"},
      {"load_failed", FrameType::kLoadFailed, More::kNo, 0, 0, load_failed},
      {"response", FrameType::kResponse, More::kNo, kSlot, kCall, response(4, "done")},
      {"response_stream", FrameType::kResponse, More::kYes, kSlot, kCall, response(kUnknownLength, "")},
      {"response_body", FrameType::kResponseBody, More::kYes, kSlot, kCall, "data: 1\n\n"},
      {"failed_raised", FrameType::kFailed, More::kNo, kSlot, kCall,
       failed(FailKind::kRaised, "ValueError: no")},
      {"failed_cancelled", FrameType::kFailed, More::kNo, kSlot, kCall, failed(FailKind::kCancelled, "")},
      {"log", FrameType::kLog, More::kNo, kSlot, kCall, log_text(Stream::kStderr, "two\nlines\n")},
      {"recalled", FrameType::kRecalled, More::kNo, kSlot, kCall, ""},
      {"paused", FrameType::kPaused, More::kNo, 0, 0, R"({"runtime": "python 3.11.2"})"},
  };
}

std::string path_of(const Golden& golden) {
  return std::string(STERNA_GOLDEN_DIR "/") + golden.name + ".bin";
}

std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  EXPECT_TRUE(file) << path;
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

std::string bytes_of(const Golden& golden) {
  std::string out;
  append_frame(out, golden.type, golden.more, golden.slot, golden.call, golden.payload);
  return out;
}

TEST(Golden, WriterMakesTheSameBytes) {
  for (const Golden& golden : goldens()) {
    if (std::getenv("STERNA_WRITE_GOLDEN") != nullptr) {
      std::ofstream(path_of(golden), std::ios::binary) << bytes_of(golden);
    }
    EXPECT_EQ(read_file(path_of(golden)), bytes_of(golden)) << golden.name;
  }
}

TEST(Golden, ReaderCutsTheFilesApartWhenTheyComeAsOneStream) {
  std::string stream;
  for (const Golden& golden : goldens()) stream += read_file(path_of(golden));
  FrameReader reader;
  std::memcpy(reader.prepare(stream.size()), stream.data(), stream.size());
  reader.commit(stream.size());
  for (const Golden& golden : goldens()) {
    const auto frame = reader.next();
    ASSERT_TRUE(frame.has_value() && frame->has_value()) << golden.name;
    EXPECT_EQ((*frame)->type, golden.type) << golden.name;
    EXPECT_EQ((*frame)->more, golden.more) << golden.name;
    EXPECT_EQ((*frame)->slot, golden.slot) << golden.name;
    EXPECT_EQ((*frame)->call, golden.call) << golden.name;
    EXPECT_EQ((*frame)->payload, golden.payload) << golden.name;
  }
  EXPECT_TRUE(reader.empty());
}

// Written out by hand from PROTOCOL.md, so that reader and writer cannot be wrong together.
TEST(Golden, FailedIsWhatTheProtocolSays) {
  const std::string expected(
      "\x1e\0\0\0\x14\0\x01\x02\x88\x77\x66\x55\x44\x33\x22\x11"
      "\x01\0\0\0\0\0\0\0\x10\xa4\0\0\0\0\0\0ValueError: no",
      16 + 30);
  EXPECT_EQ(read_file(STERNA_GOLDEN_DIR "/failed_raised.bin"), expected);
}

}  // namespace
}  // namespace sterna::wire
