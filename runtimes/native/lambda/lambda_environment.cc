#include "native/lambda/lambda_environment.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

namespace sterna::native {
namespace {

// Clients of AWS refuse to start without one.
constexpr std::string_view kRegion = "us-east-1";

std::string_view region_of(const Init& init) {
  for (const std::string_view wanted : {"AWS_REGION", "AWS_DEFAULT_REGION"}) {
    for (const auto& [name, value] : init.env) {
      if (name == wanted) return value;
    }
  }
  return kRegion;
}

// As with AWS' container images, whose command ends with the handler. Its newer clients look here first.
std::string handler_of(const Init& init, const Environment& environment) {
  // What cannot be expanded fails the start, where the program is looked for.
  return init.command.size() > 1 ? environment.expand(init.command.back()).value_or("") : "function.handler";
}

}  // namespace

Environment lambda_environment(const Init& init, const std::string& api, WallTime now) {
  Environment environment(init);
  const std::string version = std::to_string(init.version);
  environment.set_default("_HANDLER", handler_of(init, environment));
  environment.set_default("AWS_REGION", region_of(init));
  environment.set_default("AWS_DEFAULT_REGION", region_of(init));
  environment.set_default("TZ", ":UTC");
  environment.set_default("LD_LIBRARY_PATH", fmt::format("{0}:{0}/lib", init.bundle));
  environment.set("LAMBDA_TASK_ROOT", init.bundle);
  environment.set("LAMBDA_RUNTIME_DIR", init.bundle);
  environment.set("AWS_LAMBDA_RUNTIME_API", api);
  environment.set("AWS_LAMBDA_FUNCTION_NAME", init.function);
  environment.set("AWS_LAMBDA_FUNCTION_VERSION", version);
  environment.set("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", std::to_string(init.memory_mb));
  environment.set("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand");
  environment.set("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/" + init.function);
  environment.set("AWS_LAMBDA_LOG_STREAM_NAME",
                  fmt::format("{:%Y/%m/%d}/[{}]{}", std::chrono::floor<std::chrono::seconds>(now), version,
                              init.instance));
  if (init.concurrency > 1) environment.set("AWS_LAMBDA_MAX_CONCURRENCY", std::to_string(init.concurrency));
  return environment;
}

std::string function_arn(const Init& init) {
  return fmt::format("arn:aws:lambda:{}:000000000000:function:{}", region_of(init), init.function);
}

}  // namespace sterna::native
