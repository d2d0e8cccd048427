#include "bundle/files.h"

#include <fmt/format.h>
#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <memory>

#include "api/utf8.h"
#include "base/printable.h"

namespace sterna::bundle {
namespace {

constexpr std::size_t kMaxSegmentBytes = 255;  // NAME_MAX

constexpr std::size_t kShownPath = 100;

std::string_view path_problem(std::string_view raw) {
  if (raw.empty()) return "an empty name";
  if (raw.size() > kMaxPathBytes) return "longer than 512 bytes";
  if (raw.front() == '/') return "an absolute path";
  if (raw.contains('\\')) return "a backslash in the name";
  if (std::ranges::any_of(raw, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; })) {
    return "a control character in the name";
  }
  if (!api::is_utf8(raw)) return "a name that is not UTF-8";
  return {};
}

void add_number(EVP_MD_CTX* context, std::uint64_t value) {
  std::array<unsigned char, 8> bytes{};
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<unsigned char>(value >> (8 * i));
  STERNA_ASSERT(EVP_DigestUpdate(context, bytes.data(), bytes.size()) == 1);
}

// Lengths first, so that no two sets of files give the same bytes.
void add_text(EVP_MD_CTX* context, std::string_view text) {
  add_number(context, text.size());
  STERNA_ASSERT(EVP_DigestUpdate(context, text.data(), text.size()) == 1);
}

}  // namespace

std::unexpected<Error> bad_path(std::string_view path, std::string_view why) {
  return fail(Code::kInvalid, Component::kRegistry, "bad_bundle_path",
              fmt::format("\"{}\" cannot be part of a bundle: {}",
                          printable(path, kShownPath, LineFeeds::kReplaced), why));
}

Result<std::string> clean_path(std::string_view raw) {
  if (const std::string_view problem = path_problem(raw); !problem.empty()) return bad_path(raw, problem);
  std::string path;
  std::size_t depth = 0;
  for (std::string_view rest = raw; !rest.empty();) {
    const std::string_view segment = rest.substr(0, rest.find('/'));
    rest.remove_prefix(std::min(rest.size(), segment.size() + 1));
    if (segment.empty() || segment == ".") continue;
    if (segment == "..") return bad_path(raw, "it leaves the folder");
    if (segment.size() > kMaxSegmentBytes) return bad_path(raw, "a name longer than 255 bytes");
    if (++depth > kMaxPathDepth) return bad_path(raw, "deeper than 32 folders");
    if (!path.empty()) path += '/';
    path += segment;
  }
  // Looked for in what is left: "./C:x" is "C:x" to who unpacks the code elsewhere.
  if (path.size() >= 2 && path[1] == ':') return bad_path(raw, "a drive letter");
  return path;
}

Status Collector::reserve(std::size_t bytes) {
  if (bytes > max_bytes_ - bytes_) {
    return fail(Code::kInvalid, Component::kRegistry, std::string(kTooLarge),
                fmt::format("the code is larger than limits.max_code_bytes ({}), unpacked", max_bytes_));
  }
  bytes_ += bytes;
  return {};
}

Status Collector::count() {
  if (++entries_ <= kMaxFiles) return {};
  return fail(Code::kInvalid, Component::kRegistry, std::string(kTooLarge),
              fmt::format("more than {} files and folders", kMaxFiles));
}

Status Collector::add(std::string path, std::string content, Executable executable) {
  if (Status room = count(); !room) return room;
  if (path.empty()) return bad_path(".", "it is the folder itself");
  if (!paths_.insert(path).second) return bad_path(path, "it is there twice");
  for (std::size_t slash = path.find('/'); slash != std::string::npos; slash = path.find('/', slash + 1)) {
    folders_.insert(path.substr(0, slash));
  }
  files_.push_back({std::move(path), std::move(content), executable});
  return {};
}

Status Collector::add_folder(const std::string& path) {
  if (Status room = count(); !room) return room;
  if (!path.empty()) folders_.insert(path);
  return {};
}

Result<Files> Collector::finish() {
  for (const std::string& folder : folders_) {
    if (paths_.contains(folder)) return bad_path(folder, "it is a file and a folder");
  }
  std::ranges::sort(files_, {}, &File::path);
  return std::move(files_);
}

std::string hash_of(const Files& files, std::string_view space) {
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(), &EVP_MD_CTX_free);
  STERNA_ASSERT(context && EVP_DigestInit_ex(context.get(), EVP_sha256(), nullptr) == 1);
  if (!space.empty()) add_text(context.get(), space);
  add_number(context.get(), files.size());
  for (const File& file : files) {
    add_text(context.get(), file.path);
    add_number(context.get(), file.executable == Executable::kYes ? 1 : 0);
    add_text(context.get(), file.content);
  }
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int length = 0;
  STERNA_ASSERT(EVP_DigestFinal_ex(context.get(), digest.data(), &length) == 1);
  std::string hex;
  for (unsigned int i = 0; i < length; ++i) hex += fmt::format("{:02x}", digest[i]);
  return hex;
}

}  // namespace sterna::bundle
