#include "native/lambda/lambda_environment.h"

#include <gtest/gtest.h>

namespace sterna::native {
namespace {

constexpr WallTime kNow{std::chrono::milliseconds(1'700'000'000'123)};

Init init_of(std::vector<std::pair<std::string, std::string>> env, std::vector<std::string> command = {}) {
  Init init;
  init.function = "hello";
  init.instance = "INSTANCE";
  init.version = 3;
  init.bundle = "/function";
  init.memory_mb = 192;
  init.env = std::move(env);
  init.command = std::move(command);
  return init;
}

TEST(LambdaEnvironment, TellsWhatIs) {
  const Environment made =
      lambda_environment(init_of({{"AWS_LAMBDA_FUNCTION_NAME", "liar"}}), "127.0.0.1:9001", kNow);
  for (const auto& [name, value] : std::initializer_list<std::pair<std::string_view, std::string_view>>{
           {"AWS_LAMBDA_RUNTIME_API", "127.0.0.1:9001"},
           {"AWS_LAMBDA_FUNCTION_NAME", "hello"},
           {"AWS_LAMBDA_FUNCTION_VERSION", "3"},
           {"AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "192"},
           {"AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/hello"},
           {"AWS_LAMBDA_LOG_STREAM_NAME", "2023/11/14/[3]INSTANCE"},
           {"AWS_LAMBDA_MAX_CONCURRENCY", ""},
           {"LAMBDA_TASK_ROOT", "/function"},
           {"TZ", ":UTC"}}) {
    EXPECT_EQ(made.get(name), value) << name;
  }
}

TEST(LambdaEnvironment, TheFunctionChoosesItsRegion) {
  EXPECT_EQ(lambda_environment(init_of({}), "", kNow).get("AWS_REGION"), "us-east-1");
  const Init init = init_of({{"AWS_DEFAULT_REGION", "eu-north-1"}, {"TZ", "Asia/Tokyo"}});
  const Environment made = lambda_environment(init, "", kNow);
  EXPECT_EQ(made.get("AWS_REGION"), "eu-north-1");
  EXPECT_EQ(made.get("TZ"), "Asia/Tokyo");
  EXPECT_EQ(function_arn(init), "arn:aws:lambda:eu-north-1:000000000000:function:hello");
}

TEST(LambdaEnvironment, TheHandlerIsTheVariableOrTheCommandsEnd) {
  const auto handler = [](const Init& init) {
    return std::string(lambda_environment(init, "", kNow).get("_HANDLER"));
  };
  EXPECT_EQ(handler(init_of({})), "function.handler");
  EXPECT_EQ(handler(init_of({}, {"./run"})), "function.handler");
  EXPECT_EQ(handler(init_of({{"NAME", "app"}}, {"node", "ric.mjs", "$NAME.main"})), "app.main");
  EXPECT_EQ(handler(init_of({{"_HANDLER", "a.b"}}, {"node", "ric.mjs", "app.main"})), "a.b");
}

TEST(LambdaEnvironment, TellsHowManyMayRun) {
  Init init = init_of({});
  init.concurrency = 4;
  EXPECT_EQ(lambda_environment(init, "", kNow).get("AWS_LAMBDA_MAX_CONCURRENCY"), "4");
}

}  // namespace
}  // namespace sterna::native
