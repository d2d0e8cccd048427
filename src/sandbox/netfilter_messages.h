// What is said to the kernel's nf_tables: netlink messages one after the other, and how they are sent.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace sterna::sandbox {

// The one table in a sandbox's own network, and its chain.
inline constexpr const char* kFilterTable = "sterna";
inline constexpr const char* kFilterChain = "egress";

// A batch, attributes within attributes. Numbers are big-endian.
class NetfilterMessages {
 public:
  // The batch as one piece.
  std::string take();

  // `message`: NFT_MSG_*; its flags beside NLM_F_REQUEST and NLM_F_ACK. The table's name is its first
  // attribute, `attribute`.
  void begin(int message, std::uint16_t flags, std::uint16_t attribute);
  void end();

  std::size_t open(std::uint16_t type);
  void close(std::size_t at);

  void data(std::uint16_t type, const void* value, std::size_t size);
  void text(std::uint16_t type, std::string_view value);
  void number(std::uint16_t type, std::uint32_t value);
  void long_number(std::uint16_t type, std::uint64_t value);
  // A value as nf_tables nests it.
  void value(std::uint16_t type, const void* bytes, std::size_t size);

 private:
  void begin_any(std::uint16_t type, std::uint16_t flags, std::uint8_t family, std::uint16_t resource);
  void bracket(std::uint16_t type);
  void append(const void* value, std::size_t size) { bytes_.append(static_cast<const char*>(value), size); }
  void head(std::uint16_t type, std::size_t size);

  std::string bytes_;
  std::size_t message_ = 0;
  std::uint32_t sequence_ = 1;
};

// A socket to the filter of the caller's network; -errno on failure. No allocation, like the next.
int open_netfilter();

// Sends a batch and takes the kernel's answers: all of it is in effect, or nothing. Answers errno or 0.
int send_netfilter(int socket, const char* bytes, std::size_t size);

}  // namespace sterna::sandbox
