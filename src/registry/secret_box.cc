#include "registry/secret_box.h"

#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "api/base64.h"
#include "base/unique_fd.h"

namespace sterna::registry {
namespace {

constexpr std::size_t kKeyBytes = 32;
constexpr std::size_t kNonceBytes = 12;
constexpr std::size_t kTagBytes = 16;
constexpr char kFormat = 1;  // first byte of what is sealed: tells how
constexpr std::size_t kOverhead = 1 + kNonceBytes + kTagBytes;

// The file is one line of text, so that it survives editors and secret stores.
constexpr std::string_view kKeyPrefix = "sterna-secrets-key-1:";
constexpr std::size_t kMaxKeyFile = 256;

using Context = std::unique_ptr<EVP_CIPHER_CTX, decltype(&::EVP_CIPHER_CTX_free)>;

const unsigned char* bytes_of(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}
unsigned char* bytes_of(std::string& text) {
  return reinterpret_cast<unsigned char*>(text.data());
}

void fill_random(char* out, std::size_t size) {
  // Up to 256 bytes come whole once the kernel has been seeded, which it has when servers start.
  STERNA_ASSERT(::getrandom(out, size, 0) == static_cast<ssize_t>(size));
}

std::unexpected<Error> not_opened() {
  return fail(Code::kDenied, Component::kRegistry, "secret_not_opened",
              "a stored secret does not open with this key");
}

std::unexpected<Error> failed(std::string_view what, const std::filesystem::path& file) {
  return fail_errno(Component::kRegistry, std::string(what) + " the secrets key file " + file.string(),
                    errno);
}

Status check_owner(int file, const std::filesystem::path& path) {
  struct stat info{};
  if (::fstat(file, &info) != 0) return failed("cannot look at", path);
  const bool ours = info.st_uid == ::geteuid() || info.st_uid == 0;
  if (S_ISREG(info.st_mode) && ours && (info.st_mode & 077) == 0) return {};
  return fail(
      Code::kDenied, Component::kRegistry, "secrets_key_exposed",
      "the secrets key file " + path.string() +
          " must be a file that only the server's user may read: chown it and chmod 600 it, and if others "
          "may have read it, set all secrets anew under a new key");
}

bool write_whole(int file, std::string_view text) {
  return ::write(file, text.data(), text.size()) == static_cast<ssize_t>(text.size()) && ::fsync(file) == 0;
}

bool sync_folder(const std::filesystem::path& folder) {
  const UniqueFd open(::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  return open && ::fsync(open.get()) == 0;
}

}  // namespace

struct SecretBox::Key {
  std::array<unsigned char, kKeyBytes> bytes{};
};

void SecretBox::WipeKey::operator()(Key* key) const {
  OPENSSL_cleanse(key->bytes.data(), key->bytes.size());
  delete key;
}

Result<SecretBox::KeyPtr> SecretBox::read_key(int file) {
  std::array<char, kMaxKeyFile> buffer{};
  const ssize_t got = ::pread(file, buffer.data(), buffer.size(), 0);
  std::string_view text(buffer.data(), got > 0 ? static_cast<std::size_t>(got) : 0);
  while (text.ends_with('\n') || text.ends_with('\r')) text.remove_suffix(1);
  KeyPtr key(new Key);
  bool good = text.starts_with(kKeyPrefix);
  if (good) {
    Result<std::string> bytes = api::base64_decode(text.substr(kKeyPrefix.size()));
    good = bytes && bytes->size() == kKeyBytes;
    if (good) std::memcpy(key->bytes.data(), bytes->data(), kKeyBytes);
    if (bytes) OPENSSL_cleanse(bytes->data(), bytes->size());
  }
  OPENSSL_cleanse(buffer.data(), buffer.size());
  if (good) return key;
  return fail(Code::kInvalid, Component::kRegistry, "secrets_key_broken",
              "the secrets key file holds no key: it must be one line \"" + std::string(kKeyPrefix) +
                  "...\" as the server once wrote it");
}

// Under another name first: a crash leaves either no key file or a whole one. A file that came meanwhile
// stays.
Result<SecretBox::KeyPtr> SecretBox::make_key(const std::filesystem::path& key_file) {
  KeyPtr key(new Key);
  std::string bytes(kKeyBytes, '\0');
  fill_random(bytes.data(), bytes.size());
  std::memcpy(key->bytes.data(), bytes.data(), kKeyBytes);
  std::string line = std::string(kKeyPrefix) + api::base64_encode(bytes) + "\n";
  OPENSSL_cleanse(bytes.data(), bytes.size());

  const std::string draft = key_file.string() + ".new";
  ::unlink(draft.c_str());
  const UniqueFd file(::open(draft.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
  const bool written = file && write_whole(file.get(), line);
  OPENSSL_cleanse(line.data(), line.size());
  const bool placed = written && ::link(draft.c_str(), key_file.c_str()) == 0;
  const int error = errno;
  ::unlink(draft.c_str());
  errno = error;
  if (!placed || !sync_folder(key_file.parent_path())) return failed("cannot make", key_file);
  return key;
}

Result<SecretBox> SecretBox::open(const std::filesystem::path& key_file, MissingKey missing) {
  const UniqueFd file(::open(key_file.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file && errno != ENOENT) return failed("cannot read", key_file);
  if (!file && missing == MissingKey::kNeed) {
    return fail(Code::kUnavailable, Component::kRegistry, "secrets_key_missing",
                "the secrets key file " + key_file.string() +
                    " is missing, and there are secrets that only it opens: put it back from a backup");
  }
  if (file) {
    if (const Status private_file = check_owner(file.get(), key_file); !private_file)
      return std::unexpected(private_file.error());
  }
  Result<KeyPtr> key = file ? read_key(file.get()) : make_key(key_file);
  if (!key) return std::unexpected(key.error());
  return SecretBox(std::move(*key));
}

std::string SecretBox::seal(std::string_view value, std::string_view bound_to) const {
  std::string out(kOverhead + value.size(), '\0');
  out[0] = kFormat;
  fill_random(out.data() + 1, kNonceBytes);
  unsigned char* const nonce = bytes_of(out) + 1;
  unsigned char* const text = nonce + kNonceBytes;
  const Context context(::EVP_CIPHER_CTX_new(), &::EVP_CIPHER_CTX_free);
  int done = 0;
  const bool sealed =
      context &&
      ::EVP_EncryptInit_ex(context.get(), ::EVP_aes_256_gcm(), nullptr, key_->bytes.data(), nonce) == 1 &&
      ::EVP_EncryptUpdate(context.get(), nullptr, &done, bytes_of(bound_to),
                          static_cast<int>(bound_to.size())) == 1 &&
      ::EVP_EncryptUpdate(context.get(), text, &done, bytes_of(value), static_cast<int>(value.size())) == 1 &&
      ::EVP_EncryptFinal_ex(context.get(), text + value.size(), &done) == 1 &&
      ::EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_AEAD_GET_TAG, kTagBytes, text + value.size()) == 1;
  STERNA_ASSERT(sealed);  // nothing in it depends on the outside
  return out;
}

Result<std::string> SecretBox::unseal(std::string_view sealed, std::string_view bound_to) const {
  if (sealed.size() < kOverhead || sealed.front() != kFormat) return not_opened();
  const std::string_view nonce = sealed.substr(1, kNonceBytes);
  const std::string_view text = sealed.substr(1 + kNonceBytes, sealed.size() - kOverhead);
  std::string tag(sealed.substr(sealed.size() - kTagBytes));
  std::string value(text.size(), '\0');
  const Context context(::EVP_CIPHER_CTX_new(), &::EVP_CIPHER_CTX_free);
  int done = 0;
  const bool opened =
      context &&
      ::EVP_DecryptInit_ex(context.get(), ::EVP_aes_256_gcm(), nullptr, key_->bytes.data(),
                           bytes_of(nonce)) == 1 &&
      ::EVP_DecryptUpdate(context.get(), nullptr, &done, bytes_of(bound_to),
                          static_cast<int>(bound_to.size())) == 1 &&
      ::EVP_DecryptUpdate(context.get(), bytes_of(value), &done, bytes_of(text),
                          static_cast<int>(text.size())) == 1 &&
      ::EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_AEAD_SET_TAG, kTagBytes, tag.data()) == 1 &&
      ::EVP_DecryptFinal_ex(context.get(), bytes_of(value) + value.size(), &done) == 1;
  if (!opened) return not_opened();
  return value;
}

}  // namespace sterna::registry
