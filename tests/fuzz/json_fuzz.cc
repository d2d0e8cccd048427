// Bodies of the management API, through every reader that takes one.
#include <string>

#include "api/app.h"
#include "api/function_json.h"
#include "api/secret.h"
#include "api/space.h"
#include "api/templates.h"
#include "bundle/source.h"
#include "input.h"

namespace sterna::fuzz {
namespace {

constexpr std::size_t kMaxCodeBytes = 64U << 20;

api::SpecRules rules() {
  return {.templates = {"python3-http", "python3", "node-http", "node", "cpp", "http", "command", "lambda"},
          .default_limits = {},
          .allow_network_host = false};
}

void read_function(const api::Json& json) {
  const auto spec = api::parse_spec(json, rules());
  if (!spec) return;
  const auto again = api::parse_spec(*api::parse_json(api::dump(api::to_json(*spec))), rules());
  must(again && *again == *spec, "a function that is stored is read as the same");
  if (const auto source = json.find("source"); source != json.end()) {
    const auto files = bundle::parse_source(*source, "source", &*spec, kMaxCodeBytes);
    if (!files) return;
    for (const bundle::File& file : *files) must(bundle::clean_path(file.path) == file.path, "a clean path");
    (void)bundle::check_handler(*files, *spec);
  }
}

template <class Spec>
void read_again(const api::Json& json, api::Validated<Spec> (*parse)(const api::Json&), const char* rule) {
  const auto spec = parse(json);
  if (!spec) return;
  const auto again = parse(*api::parse_json(api::dump(api::to_json(*spec))));
  must(again && *again == *spec, rule);
}

}  // namespace
}  // namespace sterna::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace sterna;        // NOLINT(google-build-using-namespace): this program's own
  using namespace sterna::fuzz;  // NOLINT(google-build-using-namespace): this program's own
  const auto json = api::parse_json(text_of(data, size));
  if (!json) return 0;
  const auto again = api::parse_json(api::dump(*json));
  must(again && *again == *json, "JSON that is written is read as the same");
  read_again(*json, api::parse_space, "a space that is stored is read as the same");
  read_again(*json, api::parse_app, "an app that is stored is read as the same");
  (void)api::parse_secret(*json);
  const api::FunctionSpec python;
  (void)bundle::parse_source(*json, "", &python, kMaxCodeBytes);
  (void)bundle::parse_source(*json, "", nullptr, kMaxCodeBytes);
  if (json->is_object()) read_function(*json);
  api::Json patched = api::to_json(api::FunctionSpec{});
  patched.merge_patch(*json);
  read_function(patched.is_object() ? patched : api::Json::object());
  return 0;
}
