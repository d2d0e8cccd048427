// sterna login, logout.
#include <fmt/format.h>

#include "cli/commands.h"
#include "cli/hidden_input.h"
#include "cli/report.h"
#include "cli/token_source.h"

namespace sterna::cli {
namespace {

constexpr std::size_t kMaxSecret = 256;

}  // namespace

Result<int> login(const Target& target, const std::string& client_id) {
  auto secret = read_hidden(fmt::format("Client secret of {}", client_id), kMaxSecret);
  if (!secret) return std::unexpected(secret.error());
  if (secret->empty() || secret->size() > kMaxSecret)
    return bad_usage("the client secret is empty or too long");
  const Login login{.client_id = client_id, .client_secret = std::move(*secret)};
  HttpClient http(target.ca_file);
  const auto given = ask_for_token(http, target.url, login);
  if (!given) return std::unexpected(given.error());
  const auto file = logins_file();
  if (const Status saved = save_login(file, target.url, login); !saved) return std::unexpected(saved.error());
  return report(target, api::Json{{"url", target.url}, {"client_id", client_id}, {"scope", given->scope}},
                [&](const api::Json&) {
                  return fmt::format("Logged in at {} with the scopes: {}\nThe secret is kept in {}\n",
                                     target.url, given->scope, file.native());
                });
}

Result<int> logout(const Target& target) {
  const auto gone = forget_login(logins_file(), target.url);
  if (!gone) return std::unexpected(gone.error());
  if (!target.json) {
    print(fmt::format(fmt::runtime(*gone ? "Logged out at {}\n" : "There was no login at {}\n"), target.url));
  }
  return kExitOk;
}

}  // namespace sterna::cli
