// sterna deploy: creates or replaces a function from a file or folder and waits until it runs.
#include <fmt/format.h>

#include "cli/commands.h"
#include "cli/deployment.h"
#include "cli/rollout.h"
#include "cli/text.h"

namespace sterna::cli {
namespace {

Error with_hint(Error error, const std::string& hint) {
  const bool is_about_code = error.code == Code::kInvalid || error.code == Code::kFunctionFailed;
  if (is_about_code && !hint.empty()) error.detail += "\n" + hint;
  return error;
}

}  // namespace

Result<int> deploy(const Target& target, const DeployArgs& asked) {
  DeployArgs args = asked;
  args.quiet |= target.json;  // programs read what is printed: nothing but the answer or the error
  auto code = read_deployable(args.path, args.overrides);
  if (!code) return std::unexpected(code.error());
  auto place = place_of(target, *code);
  if (!place) return std::unexpected(place.error());
  const std::string hint = code->hint;
  if (args.traffic_percent) place->query = fmt::format("?traffic_percent={}", *args.traffic_percent);

  Api api(target);
  auto saved = [&] {
    Progress progress(args.quiet);
    progress.show(fmt::format("{}: sending {}", cell(code->settings, "name"),
                              describe_size(code->files.size(), total_bytes(code->files))));
    return send_code(api, *place, std::move(*code));
  }();
  if (!saved) return std::unexpected(with_hint(saved.error(), hint));
  auto reported = see_through(
      api, target, *place, std::move(saved->function),
      {.quiet = args.quiet, .no_wait = args.no_wait, .done = "deployed", .timeout = args.timeout});
  if (reported) return reported;
  if (reported.error().reason == "version_failed" && saved->halfway) {
    const api::Json again = take_back_halfway(api, *place, *saved->halfway);
    if (!again.is_null())
      reported.error().detail += fmt::format("\nVersion {} gets the calls again", again.dump());
  }
  return std::unexpected(with_hint(reported.error(), hint));
}

}  // namespace sterna::cli
