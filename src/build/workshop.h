// The folder that one build works in. Internal to build/.
#pragma once

#include <filesystem>

#include "build/layer_store.h"
#include "build/recipe.h"

namespace sterna::build {

// A new folder with the recipe's inputs, which the build may change, and its scratch folders. The caller
// removes it. Fails with io.
Result<std::filesystem::path> open_workshop(LayerStore& layers, const Recipe& recipe);

// Makes a layer of what the build has left there, once all its processes have ended. Fails with exhausted,
// reason `build_too_large`, with function_failed, reason `build_incomplete`, and as LayerStore::add does.
Status keep_result(LayerStore& layers, const Recipe& recipe, const std::filesystem::path& folder,
                   std::uint64_t max_bytes);

}  // namespace sterna::build
