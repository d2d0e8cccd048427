#include "gateway/invocation_exchange.h"

#include <gmock/gmock.h>

#include "gateway/invocation_json.h"
#include "gateway/settlements.h"

namespace sterna::gateway {
namespace {

using Resource = InvocationRoute::Resource;

TEST(ParseInvocationRoute, Table) {
  struct Row {
    std::string_view tail;
    std::optional<Resource> resource;
    std::string_view id = {};
  };
  const Row rows[] = {
      {"", Resource::kList},
      {"/", Resource::kList},
      {"/X", Resource::kOne, "X"},
      {"/X/response", Resource::kResponse, "X"},
      {"/X/redrive", Resource::kRedrive, "X"},
      {"/X/redeliver", Resource::kRedeliver, "X"},
      {"/X/", std::nullopt},
      {"/X/other", std::nullopt},
      {"//redrive", std::nullopt},
      {"/X/response/y", std::nullopt},
  };
  for (const Row& row : rows) {
    const auto route = parse_invocation_route(row.tail);
    ASSERT_EQ(route.has_value(), row.resource.has_value()) << row.tail;
    if (!route) continue;
    EXPECT_EQ(route->resource, *row.resource) << row.tail;
    EXPECT_EQ(route->id, row.id) << row.tail;
  }
}

TEST(Settlements, EachWaiterIsToldOnce) {
  Settlements settlements;
  int told = 0;
  const auto count = [&](WaitEnd end) { told += end == WaitEnd::kSettled ? 1 : 100; };
  settlements.wait("f", "1", count);
  settlements.wait("f", "1", count);
  const auto token = settlements.wait("f", "1", count);
  settlements.forget(token);
  settlements.on_settled("f", "2");
  settlements.on_settled("g", "1");
  EXPECT_EQ(told, 0);
  settlements.on_settled("f", "1");
  settlements.on_settled("f", "1");
  EXPECT_EQ(told, 2);
}

TEST(Settlements, WhoStillWaitsWhenTheServerEndsIsTold) {
  Settlements settlements;
  std::vector<WaitEnd> told;
  const auto tell = [&](WaitEnd end) { told.push_back(end); };
  settlements.wait("f", "1", tell);
  settlements.wait("g", "1", tell);
  settlements.on_server_ends();
  settlements.on_server_ends();
  EXPECT_EQ(told, (std::vector{WaitEnd::kServerEnds, WaitEnd::kServerEnds}));
}

TEST(Settlements, WhoWaitsForACallOfADeletedFunctionIsTold) {
  Settlements settlements;
  std::vector<std::string> told;
  const auto tell = [&](std::string name) {
    return [&told, name = std::move(name)](WaitEnd end) {
      if (end == WaitEnd::kFunctionDeleted) told.push_back(name);
    };
  };
  settlements.wait("f", "1", tell("f/1"));
  settlements.wait("f", "2", tell("f/2"));
  settlements.wait("ff", "1", tell("ff/1"));
  settlements.on_deleted("f");
  settlements.on_deleted("f");
  EXPECT_THAT(told, ::testing::UnorderedElementsAre("f/1", "f/2"));
}

TEST(InvocationJson, HasTheFieldsOfTheContract) {
  queue::Record record{.function = {.id = "i", .space = "s", .name = "f"},
                       .id = "X",
                       .version = 3,
                       .state = queue::State::kFailed,
                       .reason = "function_raised",
                       .status_code = 500,
                       .created_at = WallTime(std::chrono::milliseconds(0)),
                       .not_before = {},
                       .started_at = {},
                       .ended_at = {},
                       .attempts = {{.number = 1,
                                     .started_at = {},
                                     .ended_at = {},
                                     .duration = std::chrono::milliseconds(1500),
                                     .outcome = "failed",
                                     .reason = "function_raised",
                                     .status_code = 500,
                                     .instance = "W",
                                     .cold = true}},
                       .callback_url = "http://x/",
                       .delivery = queue::Delivery::kPending,
                       .deliveries = {{.at = {}, .outcome = "retry", .status_code = 503, .detail = "busy"}}};
  const api::OrderedJson json = to_json(record);
  EXPECT_EQ(json["state"], "failed");
  EXPECT_EQ(json["created_at"], "1970-01-01T00:00:00.000Z");
  EXPECT_TRUE(json["ended_at"].is_null());
  EXPECT_EQ(json["attempts"][0]["duration_seconds"], 1.5);
  EXPECT_EQ(json["attempts"][0]["cold"], true);
  EXPECT_EQ(json["callback"]["delivery"], "pending");
  EXPECT_EQ(json["callback"]["deliveries"][0]["status_code"], 503);
  std::string keys;
  for (const auto& [key, value] : json.items()) keys += key + " ";
  EXPECT_EQ(
      keys,
      "id space function version state reason status_code created_at not_before started_at ended_at attempts "
      "callback ");
  EXPECT_EQ(location_of(record.function, "X"), "/spaces/s/functions/f/invocations/X");
}

}  // namespace
}  // namespace sterna::gateway
