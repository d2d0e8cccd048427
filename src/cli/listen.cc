// sterna listen: shows callbacks as they arrive, for trying things.
#include <fmt/format.h>

#include <cstdio>

#include "base/printable.h"
#include "cli/callback_listener.h"
#include "cli/commands.h"
#include "cli/text.h"

namespace sterna::cli {
namespace {

// The space's secrets: the current one, and the one before while it is valid.
Result<std::vector<std::string>> fetch_secrets(const Target& target) {
  auto path = space_path(target);
  if (!path) return std::unexpected(path.error());
  Api api(target);
  const auto answer = api.get(*path + "/signing-secret");
  if (!answer) return std::unexpected(answer.error());
  std::vector<std::string> secrets;
  for (const char* field : {"current", "previous"}) {
    if (auto secret = cell(*answer, field); secret != "-") secrets.push_back(std::move(secret));
  }
  return secrets;
}

void print_callback(const ReceivedCallback& callback, bool json) {
  print(json ? api::dump(to_json(callback)) + '\n' : describe(callback));
  std::fflush(stdout);
}

}  // namespace

Result<int> listen(const Target& target, const ListenArgs& args) {
  ListenSettings settings{
      .port = args.port, .secrets = args.secrets, .status = args.status, .count = args.count};
  if (settings.secrets.empty()) {
    auto fetched = fetch_secrets(target);
    if (!fetched && exit_code_of(fetched.error()) == kExitUsage) return std::unexpected(fetched.error());
    if (fetched) {
      settings.secrets = std::move(*fetched);
    } else {
      print_to_stderr(
          fmt::format("sterna: signatures are not checked, the server did not give the secret of {}: {}\n",
                      target.space, printable(fetched.error().detail)));
    }
  }
  auto listener = CallbackListener::open(
      std::move(settings), [&](const ReceivedCallback& callback) { print_callback(callback, target.json); });
  if (!listener) return std::unexpected(listener.error());
  const std::string url = fmt::format("http://127.0.0.1:{}/", (*listener)->port());
  print(target.json ? api::dump(api::Json{{"url", url}}) + '\n' : fmt::format("listening on {}\n", url));
  std::fflush(stdout);
  return (*listener)->run() ? kExitOk : kExitRefused;
}

}  // namespace sterna::cli
