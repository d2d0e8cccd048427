#include "cli/stored_logins.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "api/json.h"
#include "base/unique_fd.h"
#include "cli/api_client.h"
#include "cli/pack.h"
#include "cli/text.h"

namespace sterna::cli {
namespace {

namespace fs = std::filesystem;
using api::Json;

constexpr std::size_t kMaxFileBytes = 1U << 20;

std::string key_of(std::string_view url) {
  while (url.ends_with('/')) url.remove_suffix(1);
  return std::string(url);
}

std::unexpected<Error> failed(const fs::path& file, std::string_view what) {
  return bad_usage(fmt::format("{}: {}", file.native(), what));
}

// Logins by URL; none when there is no file.
Result<Json> read_logins(const fs::path& file) {
  struct stat info{};
  if (file.empty() || ::stat(file.c_str(), &info) != 0) return Json::object();
  if ((info.st_mode & 077) != 0)
    return failed(
        file, "others may read it, and it holds secrets: chmod 600 it, or log in again after removing it");
  const auto text = read_file(file, kMaxFileBytes);
  if (!text) return std::unexpected(text.error());
  auto json = api::parse_json(*text);
  if (!json || !json->is_object()) return failed(file, "it is damaged; remove it and log in again");
  return json;
}

Status write_logins(const fs::path& file, const Json& logins) {
  if (file.empty())
    return bad_usage("there is no home folder to keep logins in: set HOME or XDG_CONFIG_HOME");
  std::error_code ignored;
  fs::create_directories(file.parent_path(), ignored);
  fs::permissions(file.parent_path(), fs::perms::owner_all, ignored);
  const std::string draft = fmt::format("{}.{}", file.native(), ::getpid());
  const std::string text = api::dump(logins) + "\n";
  ::unlink(draft.c_str());
  UniqueFd out(::open(draft.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
  const bool written =
      out && ::write(out.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size());
  if (written && ::rename(draft.c_str(), file.c_str()) == 0) return {};
  const std::string why = std::strerror(errno);
  ::unlink(draft.c_str());
  return failed(file, why);
}

}  // namespace

fs::path logins_file() {
  const char* const config = std::getenv("XDG_CONFIG_HOME");
  if (config != nullptr && *config != '\0') return fs::path(config) / "sterna" / "logins.json";
  const char* const home = std::getenv("HOME");
  return home == nullptr || *home == '\0' ? fs::path()
                                          : fs::path(home) / ".config" / "sterna" / "logins.json";
}

Result<std::optional<Login>> find_login(const fs::path& file, std::string_view url) {
  const auto logins = read_logins(file);
  if (!logins) return std::unexpected(logins.error());
  const auto found = logins->find(key_of(url));
  if (found == logins->end() || !found->is_object()) return std::nullopt;
  Login login{.client_id = text_of(*found, "client_id"), .client_secret = text_of(*found, "client_secret")};
  if (login.client_id.empty() || login.client_secret.empty()) return std::nullopt;
  return login;
}

Status save_login(const fs::path& file, std::string_view url, const Login& login) {
  auto logins = read_logins(file);
  if (!logins) return std::unexpected(logins.error());
  (*logins)[key_of(url)] = {{"client_id", login.client_id}, {"client_secret", login.client_secret}};
  return write_logins(file, *logins);
}

Result<bool> forget_login(const fs::path& file, std::string_view url) {
  auto logins = read_logins(file);
  if (!logins) return std::unexpected(logins.error());
  if (logins->erase(key_of(url)) == 0) return false;
  if (const Status written = write_logins(file, *logins); !written) return std::unexpected(written.error());
  return true;
}

}  // namespace sterna::cli
