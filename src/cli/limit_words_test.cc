#include "cli/limit_words.h"

#include <gtest/gtest.h>

namespace sterna::cli {
namespace {

TEST(LimitWords, BecomeFields) {
  EXPECT_EQ(limit_fields({}, LimitsOf::kSpace).value(), api::Json::object());
  EXPECT_EQ(
      limit_fields({"requests_per_second=2.5", "burst=none", "bytes_per_second=default"}, LimitsOf::kApp)
          .value(),
      api::parse_json(R"({"rate_limit":{"requests_per_second":2.5,"burst":0,"bytes_per_second":null}})")
          .value());
}

TEST(LimitWords, SpacesHaveQuotasToo) {
  EXPECT_EQ(limit_fields({"replicas=4", "burst=2", "functions=default"}, LimitsOf::kSpace).value(),
            api::parse_json(R"({"quota":{"replicas":4,"functions":null},"rate_limit":{"burst":2}})").value());
  EXPECT_FALSE(limit_fields({"replicas=4"}, LimitsOf::kApp));
}

TEST(LimitWords, SayWhatIsTaken) {
  for (const char* word : {"burst", "=5", "speed=5", "burst=", "burst=fast", "burst=[1]", "burst=true"}) {
    const auto fields = limit_fields({word}, LimitsOf::kSpace);
    ASSERT_FALSE(fields) << word;
    EXPECT_EQ(fields.error().reason, "bad_usage");
    EXPECT_TRUE(fields.error().detail.starts_with(word)) << fields.error().detail;
  }
}

}  // namespace
}  // namespace sterna::cli
