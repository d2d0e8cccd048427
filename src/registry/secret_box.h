// Seals the values of secrets for the database, so that whoever reads it without the key file learns nothing.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "base/error.h"

namespace sterna::registry {

// AES-256-GCM. Any thread.
class SecretBox {
 public:
  // A missing key file is made (kMake), or is a failure because there are values that only it opens (kNeed).
  enum class MissingKey : unsigned char { kMake, kNeed };

  // Reads the key from a file that only its owner may read. A new one is on disk when this returns. Fails
  // with denied `secrets_key_exposed` when others may read or write it, invalid `secrets_key_broken` when it
  // holds no key, unavailable `secrets_key_missing`, or io.
  static Result<SecretBox> open(const std::filesystem::path& key_file, MissingKey missing);

  // What is stored for `value`. It opens only together with the same `bound_to`: sealed values cannot be
  // swapped in the database.
  std::string seal(std::string_view value, std::string_view bound_to) const;

  // Fails with denied `secret_not_opened`: another key, another binding, or other bytes than were sealed.
  Result<std::string> unseal(std::string_view sealed, std::string_view bound_to) const;

 private:
  struct Key;
  struct WipeKey {
    void operator()(Key* key) const;
  };
  using KeyPtr = std::unique_ptr<Key, WipeKey>;

  explicit SecretBox(KeyPtr key) : key_(std::move(key)) {}
  static Result<KeyPtr> read_key(int file);
  static Result<KeyPtr> make_key(const std::filesystem::path& key_file);

  KeyPtr key_;
};

}  // namespace sterna::registry
