// What `sterna login` keeps: the credentials of one app for each server, in a file that only its owner may
// read.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"

namespace sterna::cli {

struct Login {
  std::string client_id;
  std::string client_secret;
};

// $XDG_CONFIG_HOME/sterna/logins.json, else ~/.config/sterna/logins.json; empty when there is no home.
std::filesystem::path logins_file();

// Whether there is one for the server at `url`. A file that cannot be read, or that others may read, fails
// with bad_usage.
Result<std::optional<Login>> find_login(const std::filesystem::path& file, std::string_view url);

// Replaces the file as a whole. Fails with bad_usage when it cannot be written.
Status save_login(const std::filesystem::path& file, std::string_view url, const Login& login);
// Answers whether there was one.
Result<bool> forget_login(const std::filesystem::path& file, std::string_view url);

}  // namespace sterna::cli
