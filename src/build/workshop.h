// The folder that one build works in. Internal to build/.
#pragma once

#include <filesystem>

#include "build/layer_store.h"
#include "build/recipe.h"
#include "bundle/folder_tree.h"

namespace sterna::build {

// A new folder with the recipe's inputs, which the build may change, and its scratch folders. The caller
// removes it. Fails with io.
Result<std::filesystem::path> open_workshop(LayerStore& layers, const Recipe& recipe);

// Whether a build has left more than it may: why, for people; empty when it has not. `unnamed`: bytes in
// files that are open, but in no folder.
std::string excess_of(const bundle::TreeSize& size, std::uint64_t unnamed, std::uint64_t max_bytes);
std::string too_much_disk(std::uint64_t max_bytes);

// Makes a layer of what the build has made there, once all its processes have ended: the recipe's output; of
// npm all that is new or has changed, for it may have made packages and files anywhere in the project. Fails
// with exhausted, reason `build_too_large`, with function_failed, reason `build_incomplete`, and as
// LayerStore::add does.
Status keep_result(LayerStore& layers, const Recipe& recipe, const std::filesystem::path& folder,
                   std::uint64_t max_bytes);

}  // namespace sterna::build
