// Client secrets and access tokens: how they are made, and how they are told from their hashes.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace sterna::auth {

// Beginnings that scanners for leaked secrets can look for.
inline constexpr std::string_view kTokenPrefix = "sterna_token_";
inline constexpr std::string_view kSecretPrefix = "sterna_secret_";
inline constexpr std::size_t kMaxCredentialBytes = 256;  // what is longer is none

// The prefix and 256 random bits, in letters and digits. Any thread.
std::string new_token();
std::string new_client_secret();

// SHA-256. What is hashed here has 256 random bits, so it needs neither salt nor a slow hash.
using Digest = std::array<unsigned char, 32>;

// These take as long for equal ones as for others of their size.
bool equal(const Digest& a, const Digest& b);
bool equal(std::string_view a, std::string_view b);

// As the database stores it.
std::string_view bytes_of(const Digest& digest);
Digest digest_of_bytes(std::string_view bytes);  // needs 32 of them

// Keeps what a hash needs, so that one costs a fraction of a microsecond. One thread.
class Hasher {
 public:
  Hasher();
  ~Hasher();
  Hasher(const Hasher&) = delete;
  Hasher& operator=(const Hasher&) = delete;

  Digest hash(std::string_view text);

 private:
  struct Context;
  std::unique_ptr<Context> context_;
};

}  // namespace sterna::auth
