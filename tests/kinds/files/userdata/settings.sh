export NAME={{ purpose }}
