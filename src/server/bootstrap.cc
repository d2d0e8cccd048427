#include "server/bootstrap.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstdio>
#include <string_view>

namespace sterna::server {
namespace {

constexpr int kMaxNames = 100;

// The plain name may belong to an app that may not do everything.
std::string name_number(int number) {
  return number == 1 ? "administrator" : fmt::format("administrator-{}", number);
}

Status show(std::string_view text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0) return {};
  return fail_errno(Component::kAuth, "the first administrator's secret cannot be shown on standard output",
                    errno);
}

}  // namespace

Status make_first_administrator(registry::Registry& registry, const std::string& url) {
  const Result<bool> there = registry.has_administrator();
  if (!there) return std::unexpected(there.error());
  if (*there) return {};
  // First of all: nobody could ever use an administrator whose secret was not shown.
  if (const Status shown = show(
          "This server had no administrator, so one was made. Its secret is shown here and never again:\n\n");
      !shown)
    return shown;
  const std::string secret = auth::new_client_secret();
  api::AppSpec spec{.name = {},
                    .description = "Made when the server was started without an administrator",
                    .scopes = auth::ScopeSet::all().names(),
                    .functions = {},
                    .expires_at = std::nullopt,
                    .disabled = false};
  Result<registry::App> made;
  for (int number = 1; number <= kMaxNames; ++number) {
    spec.name = name_number(number);
    made = registry.create_app("", spec, auth::Hasher().hash(secret));
    if (made || made.error().reason != "app_exists") break;
  }
  if (!made) return std::unexpected(made.error());
  return show(
      fmt::format("  client id:      {}\n"
                  "  client secret:  {}\n\n"
                  "Log in with:  sterna login --url {} --client-id {}\n\n",
                  made->id, secret, url, made->id));
}

}  // namespace sterna::server
