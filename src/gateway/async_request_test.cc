#include "gateway/async_request.h"

#include <gtest/gtest.h>

namespace sterna::gateway {
namespace {

using namespace std::chrono_literals;

constexpr WallTime kNow{std::chrono::milliseconds(1'700'000'000'000)};

net::HttpRequest with(std::vector<net::Header> headers) {
  net::HttpRequest request;
  request.method = "POST";
  request.headers = std::move(headers);
  return request;
}

TEST(ParsePreference, Table) {
  struct Row {
    std::vector<net::Header> headers;
    bool respond_async;
    Duration wait;
  };
  const Row rows[] = {
      {{}, false, 0s},
      {{{"Prefer", "respond-async"}}, true, 0s},
      {{{"prefer", "Respond-Async, wait=10"}}, true, 10s},
      {{{"Prefer", "wait=\"2.5\" , respond-async;x=y"}}, true, 2500ms},
      {{{"Prefer", "respond-async"}, {"Prefer", "wait=3"}}, true, 3s},
      {{{"Prefer", "wait=3"}}, false, 3s},
      {{{"Prefer", "respond-async, wait=soon"}}, true, 0s},
      {{{"Prefer", "respond-async, wait=-1"}}, true, 0s},
      {{{"Prefer", "respond-async, wait=999999"}}, true, 300s},
      {{{"Prefer", "return=minimal"}}, false, 0s},
      {{{"Prefer", "wait=1, respond-async, wait=4"}}, true, 1s},
      {{{"Prefer", "respond-async, wait"}, {"Prefer", "wait=4"}}, true, 0s},
      {{{"Prefer", R"(foo="a, respond-async", wait=2)"}}, false, 2s},
      {{{"Prefer", R"(foo="a\", respond-async, \"b", wait=2)"}}, false, 2s},
      {{{"Prefer", R"(foo="never closed, respond-async)"}}, false, 0s},
  };
  for (const Row& row : rows) {
    const AsyncPreference preference = parse_preference(with(row.headers));
    EXPECT_EQ(preference.respond_async, row.respond_async);
    EXPECT_EQ(preference.wait, row.wait);
  }
}

TEST(ParseAsyncHeaders, NothingGivenMeansAtOnceAndNoCallback) {
  const auto headers = parse_async_headers(with({}), kNow);
  ASSERT_TRUE(headers);
  EXPECT_EQ(headers->callback_url, "");
  EXPECT_EQ(headers->earliest(kNow), kNow);
  EXPECT_EQ(headers->idempotency_key, "");
}

TEST(ParseAsyncHeaders, ReadsWhatIsGiven) {
  const auto headers = parse_async_headers(
      with({{"X-Callback-Url", " https://x/ "}, {"X-Delay-Seconds", "1.5"}, {"Idempotency-Key", "k"}}), kNow);
  ASSERT_TRUE(headers);
  EXPECT_EQ(headers->callback_url, "https://x/");
  EXPECT_EQ(headers->earliest(kNow), kNow + 1500ms);
  EXPECT_EQ(headers->idempotency_key, "k");
}

TEST(ParseAsyncHeaders, ATimeThatHasPassedMeansNow) {
  const auto headers = parse_async_headers(with({{"X-Not-Before", "2001-01-01T00:00:00Z"}}), kNow);
  ASSERT_TRUE(headers);
  EXPECT_EQ(headers->earliest(kNow), kNow);
}

TEST(ParseAsyncHeaders, RefusesWhatItCannotUnderstand) {
  struct Row {
    std::vector<net::Header> headers;
    std::string_view reason;
  };
  const std::string long_key(256, 'k');
  const Row rows[] = {
      {{{"X-Callback-Url", ""}}, "bad_callback_url"},
      {{{"X-Callback-Url", "http://a"}, {"x-callback-url", "http://a"}}, "bad_callback_url"},
      {{{"X-Delay-Seconds", "soon"}}, "bad_delay"},
      {{{"X-Delay-Seconds", "-1"}}, "bad_delay"},
      {{{"X-Delay-Seconds", "inf"}}, "bad_delay"},
      {{{"X-Delay-Seconds", "nan"}}, "bad_delay"},
      {{{"X-Delay-Seconds", "2592001"}}, "bad_delay"},
      {{{"X-Not-Before", "tomorrow"}}, "bad_delay"},
      {{{"X-Not-Before", "2099-01-01T00:00:00Z"}}, "bad_delay"},
      {{{"X-Not-Before", "2001-01-01T00:00:00Z"}, {"X-Delay-Seconds", "1"}}, "bad_delay"},
      {{{"Idempotency-Key", ""}}, "bad_idempotency_key"},
      {{{"Idempotency-Key", long_key}}, "bad_idempotency_key"},
      {{{"Idempotency-Key", "a"}, {"Idempotency-Key", "b"}}, "bad_idempotency_key"},
  };
  for (const Row& row : rows) {
    const auto headers = parse_async_headers(with(row.headers), kNow);
    ASSERT_FALSE(headers) << row.headers.front().value;
    EXPECT_EQ(headers.error().reason, row.reason) << row.headers.front().value;
  }
}

}  // namespace
}  // namespace sterna::gateway
