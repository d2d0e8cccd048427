// Typed access to one SQL statement, and transactions around several.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>

#include "store/database.h"

namespace sterna::store {

// Bytes to be stored as they are. They are not copied: they must stay until the statement has run.
struct Blob {
  std::string_view bytes;
};

// A statement in use: bind, step, read; the destructor gives it back to the connection's cache.
// What fails while preparing or binding is told by `step`.
class Statement {
 public:
  Statement(Database& database, std::string_view sql);
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;
  ~Statement();

  // Sets the parameters from ?1 on, in order: integers, enums as integers, text, blobs, nullopt as NULL.
  template <class... Values>
  Statement& bind(const Values&... values) {
    int index = 0;
    (bind_one(++index, values), ...);
    return *this;
  }

  // Goes to the next row: true when there is one, false at the end.
  Result<bool> step();
  // Runs a statement to its end.
  Status run();

  // Columns of the current row, counted from 0. Views and strings of NULL are empty, numbers of NULL are 0.
  bool is_null(int column) const;
  std::int64_t integer(int column) const;
  std::string text(int column) const;
  // Good until the next step.
  std::string_view blob(int column) const;
  std::optional<std::int64_t> optional_integer(int column) const;

 private:
  void bind_integer(int index, std::int64_t value);
  void bind_text(int index, std::string_view value);
  void bind_blob(int index, std::string_view bytes);
  void bind_null(int index);
  void check(int code);

  template <class T>
  void bind_one(int index, const T& value) {
    if constexpr (std::is_integral_v<T> || std::is_enum_v<T>) {
      bind_integer(index, static_cast<std::int64_t>(value));
    } else if constexpr (std::is_same_v<T, Blob>) {
      bind_blob(index, value.bytes);
    } else {
      bind_text(index, value);
    }
  }
  template <class T>
  void bind_one(int index, const std::optional<T>& value) {
    if (value) {
      bind_one(index, *value);
    } else {
      bind_null(index);
    }
  }

  Database& database_;
  sqlite3_stmt* statement_;
  std::optional<Error> error_;
};

// Rolls back at the end of its scope unless committed.
class Transaction {
 public:
  explicit Transaction(Database& database) : database_(database) {}
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;
  ~Transaction();

  // Takes the write lock at once, so that no later statement fails because another writer came between.
  Status begin();
  // Answers after the commit is on disk.
  Status commit();

 private:
  Database& database_;
  bool open_ = false;
};

// Runs `body`, which answers a Result, in a transaction: commits when it succeeds, rolls back when it fails.
template <class Body>
auto transact(Database& database, Body&& body) -> decltype(body()) {
  auto result = [&]() -> decltype(body()) {
    Transaction transaction(database);
    if (Status begun = transaction.begin(); !begun) return std::unexpected(begun.error());
    auto answered = body();
    if (!answered) return answered;
    if (Status done = transaction.commit(); !done) return std::unexpected(done.error());
    return answered;
  }();
  database.note_write(result ? Status() : Status(std::unexpected(result.error())));
  return result;
}

}  // namespace sterna::store
