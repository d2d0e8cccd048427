#include "wire/messages.h"

#include <gtest/gtest.h>

#include <vector>

namespace sterna::wire {
namespace {

using Pairs = std::vector<std::pair<std::string, std::string>>;

Pairs walk(std::string_view block, std::uint32_t count, bool& ok) {
  Pairs pairs;
  HeaderWalk headers(block, count);
  std::string_view name;
  std::string_view value;
  while (headers.next(name, value)) pairs.emplace_back(name, value);
  ok = headers.ok();
  return pairs;
}

std::string two_headers() {
  std::string block;
  append_header(block, "X-A", "1");
  append_header(block, "X-A", "");
  return block;
}

std::string request_payload() {
  const std::string block = two_headers();
  std::string out;
  append_request(out,
                 {.method = "PUT", .path = "/a b", .query = "x=1&x=2", .header_count = 2, .headers = block},
                 std::string_view("b\0dy", 4));
  return out;
}

std::string response_payload() {
  const std::string block = two_headers();
  std::string out;
  append_response(
      out, {.status = 201, .run_ns = 5'000'000'000, .content_length = 4, .header_count = 2, .headers = block},
      "body");
  return out;
}

void expect_bad(const Status& status, const std::string& what) {
  ASSERT_FALSE(status.has_value()) << what;
  EXPECT_EQ(status.error().code, Code::kInvalid) << what;
  EXPECT_EQ(status.error().reason, "bad_frame") << what;
}

TEST(HeaderWalk, KeepsRepeatedHeadersInOrder) {
  bool ok = false;
  EXPECT_EQ(walk(two_headers(), 2, ok), (Pairs{{"X-A", "1"}, {"X-A", ""}}));
  EXPECT_TRUE(ok);
}

TEST(HeaderWalk, TellsWhenTheBlockDoesNotFitTheCount) {
  bool ok = true;
  walk(two_headers(), 1, ok);
  EXPECT_FALSE(ok) << "bytes left over";
  walk(two_headers(), 3, ok);
  EXPECT_FALSE(ok) << "a header is missing";
  for (std::size_t cut = 1; cut < two_headers().size(); ++cut) {
    walk(two_headers().substr(0, cut), 2, ok);
    EXPECT_FALSE(ok) << "cut at " << cut;
  }
  walk(std::string("\xff\xff\xff\xff\xff\xff\xff\xff", 8), 1, ok);
  EXPECT_FALSE(ok) << "lengths that overflow 32 bits";
}

TEST(Request, ReadsWhatWasWritten) {
  const std::string payload = request_payload();
  RequestHead head;
  std::string_view body;
  ASSERT_TRUE(read_request(payload, head, body));
  EXPECT_EQ(head.method, "PUT");
  EXPECT_EQ(head.path, "/a b");
  EXPECT_EQ(head.query, "x=1&x=2");
  EXPECT_EQ(head.header_count, 2U);
  EXPECT_EQ(head.headers, two_headers());
  EXPECT_EQ(body, std::string_view("b\0dy", 4));
}

TEST(Request, HeadersOfABlockAndWithoutOneAreWrittenAlike) {
  std::string block;
  append_header(block, "Accept", "*/*");
  append_header(block, "X-Empty", "");
  std::string with_block = "before";
  append_request(with_block,
                 {.method = "PUT", .path = "/p", .query = "q=1", .header_count = 2, .headers = block}, {});
  std::string without = "before";
  append_bodyless_request(without, {.method = "PUT", .path = "/p", .query = "q=1", .headers = {}},
                          std::vector<HeaderPair>{{"Accept", "*/*"}, {"X-Empty", ""}});
  EXPECT_EQ(without, with_block);
}

TEST(Request, RefusesHeadsThatDoNotAddUp) {
  const std::string good = request_payload();
  RequestHead head;
  std::string_view body;
  const std::size_t head_bytes = good.size() - 4;
  for (std::size_t cut = 0; cut < head_bytes; ++cut) {
    expect_bad(read_request(std::string_view(good).substr(0, cut), head, body),
               "cut at " + std::to_string(cut));
  }
  for (const std::size_t field : {0U, 4U, 8U, 12U, 16U}) {
    std::string huge = good;
    huge.replace(field, 4, "\xff\xff\xff\xff");
    expect_bad(read_request(huge, head, body), "huge field at " + std::to_string(field));
  }
  std::string counted = good;
  counted[12] = 0;
  expect_bad(read_request(counted, head, body), "header bytes without headers");
}

TEST(Request, RefusesHeadersOverTheLimit) {
  std::string block;
  append_header(block, "a", std::string(kMaxHeaderBytes - 8, 'v'));
  std::string out;
  append_request(out, {.method = "GET", .path = "/", .query = {}, .header_count = 1, .headers = block}, {});
  RequestHead head;
  std::string_view body;
  expect_bad(read_request(out, head, body), "one byte over");
}

TEST(Response, ReadsWhatWasWritten) {
  const std::string payload = response_payload();
  ResponseHead head;
  std::string_view body;
  ASSERT_TRUE(read_response(payload, head, body));
  EXPECT_EQ(head.status, 201U);
  EXPECT_EQ(head.run_ns, 5'000'000'000U);
  EXPECT_EQ(head.content_length, 4U);
  EXPECT_EQ(head.header_count, 2U);
  EXPECT_EQ(head.headers, two_headers());
  EXPECT_EQ(body, "body");
}

TEST(Response, RefusesHeadsThatDoNotAddUp) {
  const std::string good = response_payload();
  ResponseHead head;
  std::string_view body;
  for (std::size_t cut = 0; cut < good.size() - 4; ++cut) {
    expect_bad(read_response(std::string_view(good).substr(0, cut), head, body),
               "cut at " + std::to_string(cut));
  }
  for (const std::size_t field : {0U, 4U, 8U, 12U}) {
    std::string huge = good;
    huge.replace(field, 4, "\xff\xff\xff\xff");
    expect_bad(read_response(huge, head, body), "huge field at " + std::to_string(field));
  }
}

TEST(Response, StatusMustBeWithin200To599) {
  for (const auto& [status, good] :
       {std::pair{199U, false}, {200U, true}, {599U, true}, {600U, false}, {100U, false}}) {
    std::string out;
    append_response(out, {.status = status, .headers = {}}, {});
    ResponseHead head;
    std::string_view body;
    EXPECT_EQ(read_response(out, head, body).has_value(), good) << status;
  }
}

TEST(Failed, ReadsWhatWasWrittenAndRefusesTheRest) {
  std::string out;
  append_failed(out, {.kind = FailKind::kBadResponse, .run_ns = 12, .text = "no dict"});
  Failed failed;
  ASSERT_TRUE(read_failed(out, failed));
  EXPECT_EQ(failed.kind, FailKind::kBadResponse);
  EXPECT_EQ(failed.run_ns, 12U);
  EXPECT_EQ(failed.text, "no dict");

  expect_bad(read_failed(std::string_view(out).substr(0, 15), failed), "cut");
  for (const char kind : {'\0', '\4'}) {
    out[0] = kind;
    expect_bad(read_failed(out, failed), "unknown kind");
  }
  out[0] = 1;
  out[4] = 1;
  expect_bad(read_failed(out, failed), "reserved");
}

TEST(Log, ReadsWhatWasWrittenAndRefusesTheRest) {
  std::string out;
  append_log(out, {.stream = Stream::kStderr, .text = "line\n"});
  LogText log;
  ASSERT_TRUE(read_log(out, log));
  EXPECT_EQ(log.stream, Stream::kStderr);
  EXPECT_EQ(log.text, "line\n");
  expect_bad(read_log("", log), "empty");
  ASSERT_TRUE(read_log("\x03text", log));
  EXPECT_EQ(log.stream, Stream::kPlatform);
  expect_bad(read_log("\x04text", log), "unknown stream");
}

TEST(Window, ReadsWhatWasWrittenAndRefusesTheRest) {
  std::string out;
  append_window(out, 70'000);
  std::uint32_t bytes = 0;
  ASSERT_TRUE(read_window(out, bytes));
  EXPECT_EQ(bytes, 70'000U);
  expect_bad(read_window("abc", bytes), "short");
  expect_bad(read_window("abcde", bytes), "long");
}

}  // namespace
}  // namespace sterna::wire
