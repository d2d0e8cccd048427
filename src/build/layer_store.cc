#include "build/layer_store.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <vector>

#include "base/unique_fd.h"
#include "bundle/folder_tree.h"

namespace sterna::build {
namespace {

namespace fs = std::filesystem;

constexpr const char* kFiles = "files";
constexpr const char* kBytes = "bytes";  // how many they are, as text; its time is that of the last use

std::unexpected<Error> failed(std::string_view what, int error) {
  return fail_errno(Component::kRegistry, what, error);
}

Status sync_folder(const fs::path& path) {
  const UniqueFd folder(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!folder || ::fsync(folder.get()) != 0) return failed("cannot sync the layers", errno);
  return {};
}

}  // namespace

LayerStore::LayerStore(fs::path root, std::uint64_t max_bytes)
    : root_(std::move(root)), max_bytes_(max_bytes) {}

Result<std::unique_ptr<LayerStore>> LayerStore::open(const fs::path& root, std::uint64_t max_bytes) {
  std::error_code error;
  fs::create_directories(root, error);
  if (error) return failed("cannot create the folder of the layers", error.value());
  if (::chmod(root.c_str(), 0755) != 0) return failed("cannot open the folder of the layers", errno);
  std::unique_ptr<LayerStore> store(new LayerStore(root, max_bytes));
  if (Status done = store->index(); !done) return std::unexpected(done.error());
  store->evict({});
  return store;
}

Status LayerStore::index() {
  std::error_code error;
  std::vector<fs::path> unfinished;
  for (const auto& entry : fs::directory_iterator(root_, error)) {
    const std::string name = entry.path().filename();
    Layer layer;
    std::error_code unknown;
    layer.used = fs::last_write_time(entry.path() / kBytes, unknown);
    const bool whole = !name.starts_with('.') && std::ifstream(entry.path() / kBytes) >> layer.bytes;
    if (!whole) {
      unfinished.push_back(entry.path());
      continue;
    }
    bytes_ += layer.bytes;
    layers_.emplace(name, layer);
  }
  if (error) return failed("cannot read the folder of the layers", error.value());
  for (const fs::path& path : unfinished) bundle::remove_tree(path);
  return {};
}

Result<fs::path> LayerStore::make_workshop() {
  std::string folder = root_ / ".build-XXXXXX";
  if (::mkdtemp(folder.data()) == nullptr) return failed("cannot make a folder to build in", errno);
  // Whoever builds is another user of the machine; the data directory around it keeps all others out.
  if (::chmod(folder.c_str(), 0777) != 0) return failed("cannot make a folder to build in", errno);
  return fs::path(folder);
}

fs::path LayerStore::files_of(const std::string& key) const {
  return root_ / key / kFiles;
}

std::optional<fs::path> LayerStore::find(const std::string& key) {
  const std::scoped_lock lock(mutex_);
  const auto found = layers_.find(key);
  if (found == layers_.end()) return std::nullopt;
  found->second.used = fs::file_time_type::clock::now();
  std::error_code ignored;
  fs::last_write_time(root_ / key / kBytes, found->second.used, ignored);
  return files_of(key);
}

Result<fs::path> LayerStore::add(const std::string& key, const fs::path& made) {
  if (auto there = find(key)) return *there;
  auto size = bundle::seal_tree(made);
  if (!size) return std::unexpected(size.error());
  std::string temporary = root_ / ".new-XXXXXX";
  if (::mkdtemp(temporary.data()) == nullptr) return failed("cannot keep a layer", errno);
  const fs::path files = fs::path(temporary) / kFiles;
  std::error_code error;
  // A folder without the right to write cannot be moved elsewhere: its ".." changes.
  if (::chmod(made.c_str(), 0755) != 0) return failed("cannot keep a layer", errno);
  fs::rename(made, files, error);
  if (error) return failed("cannot keep a layer", error.value());
  if (::chmod(files.c_str(), 0555) != 0) return failed("cannot keep a layer", errno);
  if (!(std::ofstream(fs::path(temporary) / kBytes) << size->bytes << "\n").flush())
    return failed("cannot keep a layer", EIO);
  if (Status synced = bundle::sync_file_system(temporary); !synced) return std::unexpected(synced.error());
  fs::rename(temporary, root_ / key, error);
  if (error) return failed("cannot keep a layer", error.value());
  if (Status synced = sync_folder(root_); !synced) return std::unexpected(synced.error());
  const std::scoped_lock lock(mutex_);
  layers_[key] = {size->bytes, fs::file_time_type::clock::now()};
  bytes_ += size->bytes;
  return files_of(key);
}

void LayerStore::evict(const std::set<std::string>& spared) {
  const std::scoped_lock lock(mutex_);
  std::vector<std::pair<fs::file_time_type, std::string>> by_use;
  for (const auto& [key, layer] : layers_) {
    if (!spared.contains(key)) by_use.emplace_back(layer.used, key);
  }
  std::ranges::sort(by_use);
  for (const auto& [used, key] : by_use) {
    if (bytes_ <= max_bytes_) return;
    const fs::path gone = root_ / (".gone-" + key);
    std::error_code error;
    fs::rename(root_ / key, gone, error);
    bytes_ -= layers_.at(key).bytes;
    layers_.erase(key);
    if (!error) bundle::remove_tree(gone);
  }
}

std::uint64_t LayerStore::bytes() const {
  const std::scoped_lock lock(mutex_);
  return bytes_;
}

}  // namespace sterna::build
