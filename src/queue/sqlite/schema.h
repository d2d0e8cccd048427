// The queue's tables, as numbered steps.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace sterna::queue::sqlite {

std::span<const std::string_view> schema_steps();

// The column invocations.state: a queued one is stored as ready or delayed, a running one as before it ran.
enum class StoredState : std::uint8_t { kReady, kDelayed, kSucceeded, kFailed, kCancelled, kExpired };

// The column parts.kind: whose bytes they are.
enum class PartKind : std::uint8_t { kRequest, kAnswer };

// Bodies up to this size stand in their row, larger ones in `parts`, in pieces of kPartBytes.
inline constexpr std::size_t kInlineBytes = 64U << 10U;
inline constexpr std::size_t kPartBytes = 256U << 10U;

}  // namespace sterna::queue::sqlite
